"""Many PDFs at once: who may ask, what xero-gateway is told, how far it is, and that ended access takes downloads along."""

from __future__ import annotations

from typing import Any

import httpx

from common.clock import utc_now
from common.contracts.sharing import PdfsWanted
from common.contracts.xero_gateway import PdfsFetched
from common.testing import ORGANISATION, Harness
from sharing import erasing
from sharing.downloads import MOST_PDFS
from sharing.testing import CONTACT, OTHER_CONTACT, Desk, an_invoice, changed

SENDER = f"/internal/client/senders/{ORGANISATION}"
STRANGER = "stranger@demo.example"


async def ask(sharing: Harness, query: str = "", email: str | None = None) -> httpx.Response:
    headers = sharing.as_client(email) if email else sharing.as_client()
    return await sharing.http.post(f"{SENDER}/downloads{query}", headers=headers)


async def listed(sharing: Harness) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await sharing.http.get("/internal/client/downloads", headers=sharing.as_client())).json()["downloads"]
    return found


async def test_asking_tells_xero_gateway_what_is_wanted_and_its_progress_is_shown(sharing: Harness, desk: Desk) -> None:
    one, other = an_invoice(), an_invoice("INV-2")
    await desk.share([one, other, an_invoice("PAID-1", status="PAID", amount_due=0)])
    answer = await ask(sharing, "?view=to_pay&search=INV")
    (wanted,) = await sharing.published(PdfsWanted)
    assert {(it.invoice_id, it.contact_id, it.updated_at) for it in wanted.wanted} == {
        (it.invoice_id, CONTACT, it.updated_at) for it in (one, other)
    }
    (download,) = await listed(sharing)
    assert download["id"] == answer.json()["id"] == wanted.download_id
    assert (download["total"], download["kept"], download["ready"], download["sender"]) == (2, 0, False, "Kōwhai & Hart")
    facts: dict[str, Any] = {"download_id": download["id"], "organisation_id": ORGANISATION, "total": 2, "reason": None, "limit": None}
    await sharing.deliver(PdfsFetched(version=2, kept=1, missed=1, **facts))
    await sharing.deliver(PdfsFetched(version=1, kept=1, missed=0, **facts))
    (download,) = await listed(sharing)
    assert (download["kept"], download["missed"], download["ready"]) == (1, 1, True)
    shown = await sharing.http.get(f"/internal/client/downloads/{download['id']}", headers=sharing.as_client())
    assert set(shown.json()["invoice_ids"]) == {one.invoice_id, other.invoice_id}


async def test_more_than_one_file_holds_and_nothing_are_refused(sharing: Harness, desk: Desk) -> None:
    many = [an_invoice(f"INV-{number}") for number in range(MOST_PDFS + 1)]
    await desk.share([*many, an_invoice("PAID-1", status="PAID", amount_due=0)])
    refused = await ask(sharing)
    assert (refused.status_code, refused.json()["code"], refused.json()["most"]) == (422, "too_many", MOST_PDFS)
    assert (await ask(sharing, "?view=paid&search=none")).json()["code"] == "nothing_to_download"
    assert (await ask(sharing, "?view=paid")).status_code == 200


async def test_ended_access_takes_its_downloads_along_at_once(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([an_invoice()])
    download = (await ask(sharing)).json()["id"]
    path = f"/internal/client/downloads/{download}"
    assert (await sharing.http.get(path, headers=sharing.as_client())).status_code == 200
    await desk.end(share["id"])
    assert (await sharing.http.get(path, headers=sharing.as_client())).status_code == 404
    assert await listed(sharing) == []


async def test_a_download_holds_only_what_may_be_seen_when_it_is_taken_away(sharing: Harness, desk: Desk) -> None:
    stays, leaves = an_invoice(), an_invoice("INV-2")
    await desk.share([stays, leaves])
    download = (await ask(sharing)).json()["id"]
    await sharing.deliver(changed(an_invoice("INV-2", contact_id=OTHER_CONTACT, updated_at=utc_now())))
    shown = await sharing.http.get(f"/internal/client/downloads/{download}", headers=sharing.as_client())
    assert shown.json()["invoice_ids"] == [stays.invoice_id]


async def test_nobody_else_sees_a_download(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice()])
    await desk.share([an_invoice()], STRANGER)
    download = (await ask(sharing)).json()["id"]
    answer = await sharing.http.get(f"/internal/client/downloads/{download}", headers=sharing.as_client(STRANGER))
    assert answer.status_code == 404
    theirs = await sharing.http.get("/internal/client/downloads", headers=sharing.as_client(STRANGER))
    assert theirs.json()["downloads"] == []
    assert (await ask(sharing, email="nobody@demo.example")).status_code == 404


async def test_an_organisation_that_is_erased_takes_its_downloads_along(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice()])
    await ask(sharing)
    await erasing.forget(sharing.db, ORGANISATION, await sharing.db.now())
    assert await sharing.db.collection("downloads").count({}) == 0
