"""The three ways to leave as pages: what each says before it asks, and that nothing happens without the typed name."""

from __future__ import annotations

import httpx
import pytest

from web.client_testing import press
from web.testing import Upstream, said, words
from web.testing_ledger import KOWHAI, NOW, PIKE, a_share

LEAVE = f"/o/{KOWHAI}/leave"
NAME = "Kōwhai & Hart Studio Ltd"


async def test_three_choices_side_by_side_say_what_goes_what_clients_see_and_whether_it_comes_back(
    provider: httpx.AsyncClient, up: Upstream
) -> None:
    up.shares = [a_share(1), a_share(2)]
    page = await words(provider, LEAVE)
    for heading in ("What we delete", "What clients see", "Can it be undone"):
        assert page.count(heading) == 3
    assert "marked “not updating since” now" in page
    assert "every access: 2 now" in page
    assert "No. What stays is a record without personal data" in page


async def test_settings_and_account_lead_there(provider: httpx.AsyncClient) -> None:
    assert f'href="{LEAVE}"' in (await provider.get(f"/o/{KOWHAI}/settings")).text
    assert 'href="/me/delete"' in (await provider.get("/me")).text
    assert (await provider.get("/me/delete")).headers["location"] == f"{LEAVE}/delete"


async def test_disconnecting_takes_one_press(provider: httpx.AsyncClient, up: Upstream) -> None:
    answer = await press(provider, f"{LEAVE}/disconnect")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{LEAVE}?done=disconnect")
    assert [(each["kind"], each["organisation_id"]) for each in up.left] == [("disconnect", KOWHAI)]
    assert f"{NAME} is disconnected. Clients keep what is stored, marked “not updating”." in await words(
        provider, f"{LEAVE}?done=disconnect"
    )


@pytest.mark.parametrize(("way", "kind"), [("end-access", "end_access"), ("delete", "delete")])
async def test_the_last_two_want_the_organisations_name(provider: httpx.AsyncClient, up: Upstream, way: str, kind: str) -> None:
    for typed in ("", "Pike & Larkmoor LLP", "yes"):
        refused = await press(provider, f"{LEAVE}/{way}", name=typed)
        assert refused.status_code == 422
        assert f"That is not {NAME}. Nothing was done." in said(refused)
    assert up.left == []
    assert (await press(provider, f"{LEAVE}/{way}", name="  kōwhai &  hart studio LTD ")).status_code == 303
    assert [each["kind"] for each in up.left] == [kind]


async def test_deleting_asks_about_a_colleagues_organisation_with_ending_preselected(provider: httpx.AsyncClient, up: Upstream) -> None:
    up.shares = [a_share(number, organisation_id=PIKE) for number in range(1, 15)] + [a_share(20)]
    up.leaving["colleagues"] = {PIKE: 1}
    page = await provider.get(f"{LEAVE}/delete")
    assert "End the 14 accesses of Pike &amp; Larkmoor LLP as well" in page.text
    assert f'value="{PIKE}" checked' in page.text
    assert f"{NAME} : 1 access ends." in said(page)


@pytest.mark.parametrize("ticked", [True, False])
async def test_only_what_is_ticked_ends_along_with_the_account(provider: httpx.AsyncClient, up: Upstream, ticked: bool) -> None:
    await press(provider, f"{LEAVE}/delete", name=NAME, **({"end": PIKE} if ticked else {}))
    assert [each["end"] for each in up.left] == [[PIKE] if ticked else []]


async def test_an_unticked_box_stays_unticked_when_the_name_was_wrong(provider: httpx.AsyncClient, up: Upstream) -> None:
    up.shares = [a_share(1, organisation_id=PIKE)]
    up.leaving["colleagues"] = {PIKE: 1}
    refused = await press(provider, f"{LEAVE}/delete", name="wrong")
    assert f'value="{PIKE}">' in refused.text
    assert "End the 1 access of Pike" in refused.text


async def test_after_deleting_nobody_is_signed_in(provider: httpx.AsyncClient) -> None:
    answer = await press(provider, f"{LEAVE}/delete", name=NAME)
    assert answer.headers["location"] == "/?bye=deleted"
    assert "__Host-provider=" in answer.headers["set-cookie"]
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert "Your account is deleted and all access has ended." in await words(provider, "/?bye=deleted")


async def test_without_sharing_a_page_says_that_nothing_was_done(provider: httpx.AsyncClient, up: Upstream) -> None:
    up.refusing_shares = True
    for way in ("end-access", "delete"):
        answer = await press(provider, f"{LEAVE}/{way}", name=NAME)
        assert answer.status_code == 503
        assert "So nothing was ended or deleted, and your account is as it was." in said(answer)
        assert "set-cookie" not in answer.headers


async def test_what_is_under_way_is_told_with_its_progress(provider: httpx.AsyncClient, up: Upstream) -> None:
    up.shares = [a_share(number) for number in range(1, 6)]
    up.leaving["ending"] = {KOWHAI: 12}
    assert "Ending access: 7 of 12 are done. All of them are closed already" in await words(provider, LEAVE)
    up.leaving["ending"] = {}
    up.leaving["under_way"] = {"kind": "disconnect", "since": NOW.isoformat(), "tells_xero": True}
    assert "Xero has not confirmed yet; we tell it again by ourselves" in await words(provider, LEAVE)
    up.leaving["under_way"] |= {"kind": "delete", "tells_xero": False}
    assert "goes on by itself" in await words(provider, LEAVE)


@pytest.mark.parametrize("way", ["disconnect", "end-access", "delete"])
async def test_what_goes_on_by_itself_is_neither_called_done_nor_undone(provider: httpx.AsyncClient, up: Upstream, way: str) -> None:
    up.leaving["under_way"] = {"kind": "disconnect", "since": NOW.isoformat(), "tells_xero": True}
    answer = await press(provider, f"{LEAVE}/{way}", name=NAME)
    assert answer.status_code == 409
    assert "What you chose has begun and goes on by itself" in said(answer)
    assert "It is not confirmed yet" in said(answer)
    assert f'href="{LEAVE}"' in answer.text
    assert "set-cookie" not in answer.headers


async def test_when_it_is_not_known_what_was_done_the_page_says_so(provider: httpx.AsyncClient, up: Upstream) -> None:
    up.leaving["lost"] = True
    for way in ("disconnect", "end-access", "delete"):
        answer = await press(provider, f"{LEAVE}/{way}", name=NAME)
        assert answer.status_code == 503
        assert "we cannot say yet whether what you chose has begun" in said(answer)
        assert "nothing was ended" not in said(answer)
    up.organisations = []
    assert "we cannot say yet" in said(await press(provider, "/me/delete", name="hana@kowhai.example"))


async def test_with_a_colleague_disconnecting_says_that_clients_notice_nothing(provider: httpx.AsyncClient, up: Upstream) -> None:
    up.leaving["colleagues"] = {KOWHAI: 2}
    assert "2 colleagues stay connected, so clients notice nothing." in await words(provider, f"{LEAVE}/disconnect")
    answer = await press(provider, f"{LEAVE}/disconnect")
    assert answer.headers["location"] == "/organisations?done=disconnect"
    assert "A colleague keeps the organisation connected." in await words(provider, "/organisations?done=disconnect")


async def test_a_login_without_organisations_types_its_address(provider: httpx.AsyncClient, up: Upstream) -> None:
    up.organisations = []
    assert "Type hana@kowhai.example to confirm" in await words(provider, "/me/delete")
    assert (await press(provider, "/me/delete", name="x")).status_code == 422
    assert (await press(provider, "/me/delete", name="Hana@Kowhai.example")).headers["location"] == "/?bye=deleted"
    assert up.left[0]["organisation_id"] is None


async def test_an_unknown_way_is_the_common_404(provider: httpx.AsyncClient) -> None:
    assert (await provider.get(f"{LEAVE}/everything")).status_code == 404


async def test_who_left_is_a_former_colleague_beside_what_they_shared(provider: httpx.AsyncClient, up: Upstream) -> None:
    up.shares = [a_share(1, shared_by={"id": "prv_1", "name": "", "email": ""})]
    assert "by a former colleague" in await words(provider, f"/o/{KOWHAI}/shares")
