"""The services behind the pages, one typed client each: who is this, what does Xero hold, who may see it.

Each takes a `ServiceClient` of common.http. Calls in somebody's name take that person's token, from the identity call's `tokens`.
All raise the tree of common.errors: Unavailable when the service does not answer, NotFound for unknown and foreign ids.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from common.errors import NotFound
from common.http import ServiceClient, kept
from web.client_models import (
    ClientTimeline,
    Download,
    Home,
    LinkState,
    MailServer,
    OneInvoice,
    PdfGrant,
    SenderInvoices,
    SignedIn,
    Statement,
    StoredInvoice,
    Viewing,
    WouldSee,
    WouldSeeInvoice,
    XeroInvoice,
)
from web.models import (
    AddressUse,
    CallsLeft,
    ClientIdentity,
    Connection,
    Contact,
    Contacts,
    Device,
    Ended,
    Invited,
    InvoiceList,
    Leaving,
    LeavingKind,
    Load,
    ProviderIdentity,
    Share,
    SharedClients,
    Shares,
    Updates,
    query,
)

PLAIN = re.compile(r"[A-Za-z0-9_-]{1,100}")


class Services:
    """Every service web calls; kept as `app.state.services`."""

    def __init__(self, auth: ServiceClient, portal: ServiceClient, gateway: ServiceClient, sharing: ServiceClient) -> None:
        self.auth = AuthClient(auth)
        self.portal = PortalClient(portal)
        self.gateway = GatewayClient(gateway)
        self.sharing = SharingClient(sharing)
        self._all = (auth, portal, gateway, sharing)

    async def aclose(self) -> None:
        """Closes the connections of all clients."""
        await asyncio.gather(*(client.aclose() for client in self._all))


Behind = Annotated[Services, kept("services")]
"""The services behind a page, as a parameter of its function."""


class AuthClient:
    """auth: providers, their sessions and their organisations' connections."""

    def __init__(self, http: ServiceClient) -> None:
        self.http = http

    async def identify(self, session: str, organisation_id: str | None, audiences: Sequence[str]) -> ProviderIdentity:
        """Who a provider's cookie belongs to. Raises NotSignedIn, and NotFound for an organisation that login does not have."""
        asked = {"session": session, "organisation_id": organisation_id, "audiences": list(audiences)}
        return ProviderIdentity.model_validate(await self.http.post("/internal/identify", json=asked))

    async def connection(self, session: str, org: str) -> Connection:
        """An organisation's connection. Raises NotSignedIn, and NotFound for an organisation that login does not have."""
        return Connection.model_validate(await self.http.post(f"{_org(org)}/connection", json={"session": session}))

    async def leaving(self, session: str, org: str | None) -> Leaving:
        """What each way to leave would end. Raises NotSignedIn, and NotFound for an organisation that login does not have."""
        asked = {"session": session, "organisation_id": org}
        return Leaving.model_validate(await self.http.post("/internal/leavings/look", json=asked))

    async def leave(self, session: str, org: str | None, kind: LeavingKind, end: Sequence[str] = ()) -> bool:
        """Leaves; whether the organisation's pages still open. Raises as `leaving`, Conflict `leaving_under_way`.

        Raises Unavailable `sharing_unavailable` when access cannot be ended: then nothing was done, after any other nobody knows.
        `end`: organisations of colleagues to end too.
        """
        asked = {"session": session, "organisation_id": org, "kind": kind, "end": list(end)}
        return bool((await self.http.post("/internal/leavings", json=asked))["opens"])

    async def sessions(self, session: str) -> list[Device]:
        """Every browser signed in as the same provider, used last first. Raises NotSignedIn."""
        answer = await self.http.post("/internal/sessions/list", json={"session": session})
        return [Device.model_validate(device) for device in answer["sessions"]]

    async def end_session(self, session: str, *, everywhere: bool = False) -> None:
        """Signs that session out, or every session of its provider."""
        await self.http.post("/internal/sessions/end", json={"session": session, "everywhere": everywhere})

    async def end_other_session(self, session: str, other: str) -> None:
        """Signs another browser of the same provider out, by its id. Raises NotSignedIn."""
        await self.http.post("/internal/sessions/end-other", json={"session": session, "other": other})


class GatewayClient:
    """xero-gateway: contacts and invoices as they are in Xero now.

    Every read may also raise Conflict `xero_needs_reauth` and Unavailable `xero_unavailable` or `xero_busy`.
    """

    def __init__(self, http: ServiceClient) -> None:
        self.http = http

    async def contacts(self, token: str, org: str, *, search: str, page: int) -> Contacts:
        """One page of the organisation's contacts, searched in Xero."""
        answer = await self.http.get(f"{_org(org)}/contacts", params=query(search=search, page=page), token=token)
        return Contacts.model_validate(answer)

    async def contact(self, token: str, org: str, contact: str) -> Contact:
        """One contact with its persons."""
        return Contact.model_validate(await self.http.get(f"{_org(org)}/contacts/{contact}", token=token))

    async def invoices(self, token: str, org: str, contact: str, wanted: Mapping[str, Any]) -> InvoiceList:
        """A contact's invoices; `wanted` holds view, search, page, date_from, date_to where they are asked for.

        shared_from, picked and hides_awaiting choose what is counted as shared, as_client shows that alone, as its client would see it.
        """
        return InvoiceList.model_validate(await self.http.get(f"{_org(org)}/contacts/{contact}/invoices", params=wanted, token=token))

    async def invoice(self, token: str, org: str, invoice_id: str) -> XeroInvoice:
        """One invoice as it is now."""
        return XeroInvoice.model_validate(await self.http.get(f"{_org(org)}/invoices/{invoice_id}", token=token))

    async def online_invoice(self, token: str, org: str, invoice_id: str) -> str:
        """The address of Xero's public page of an invoice. Raises NotFound for one that has none."""
        return str((await self.http.get(f"{_org(org)}/invoices/{invoice_id}/online", token=token))["url"])

    async def pdf(self, right: str, *, only_kept: bool = False) -> bytes:
        """Xero's own PDF of the invoice this right names. Raises Conflict when that invoice is no longer as it was granted.

        `only_kept`: Xero is not asked; raises Unavailable when the PDF is not kept.
        """
        return await self.http.download(f"/internal/invoice-pdf{'?kept=true' if only_kept else ''}", token=right)

    async def load(self, token: str, org: str, load_id: str) -> Load:
        """How far the first load of a share is and why it waits."""
        return Load.model_validate(await self.http.get(f"{_org(org)}/loads/{load_id}", token=token))

    async def calls_left(self, token: str, org: str) -> CallsLeft:
        """What is left of the requests Xero allows for a day."""
        return CallsLeft.model_validate(await self.http.get(f"{_org(org)}/calls", token=token))

    async def updates(self, token: str, org: str) -> Updates:
        """Whether Xero tells of changes at once, and when it was asked last."""
        return Updates.model_validate(await self.http.get(f"{_org(org)}/updates", token=token))

    async def test_connection(self, token: str, org: str) -> str:
        """Makes one read-only call; `ok`, or the fault: credential, scope, organisation, limit, network."""
        return str((await self.http.post(f"{_org(org)}/connection-test", token=token))["outcome"])


class SharingClient:
    """sharing: who may see what, and the stored invoices."""

    def __init__(self, http: ServiceClient) -> None:
        self.http = http

    # ── for providers

    async def share_counts(self, token: str, org: str, contacts: Sequence[str]) -> dict[str, int]:
        """How many addresses have access, by contact."""
        if not contacts:
            return {}
        params = [("contact_id", contact) for contact in contacts]
        counts: dict[str, int] = (await self.http.get(f"{_org(org)}/share-counts", params=params, token=token))["counts"]
        return counts

    async def clients(self, token: str, org: str, *, search: str, page: int) -> SharedClients:
        """The clients somebody has access to: what can be listed while Xero is away."""
        return SharedClients.model_validate(
            await self.http.get(f"{_org(org)}/clients", params=query(search=search, page=page), token=token)
        )

    async def shares_of(self, token: str, org: str, contact: str) -> list[Share]:
        """Every access to one client's invoices, ended ones too."""
        answer = await self.http.get(f"{_org(org)}/contacts/{contact}/shares", token=token)
        return [Share.model_validate(share) for share in answer["shares"]]

    async def share(self, token: str, org: str, share: str) -> Share:
        """One access."""
        return Share.model_validate(await self.http.get(f"{_org(org)}/shares/{share}", token=token))

    async def hides_awaiting(self, token: str, org: str) -> bool:
        """Whether clients see no invoice that awaits approval."""
        return bool((await self.http.get(f"{_org(org)}/awaiting", token=token))["hidden"])

    async def hide_awaiting(self, token: str, org: str, *, hidden: bool) -> None:
        """Hides them from clients, or shows them again."""
        await self.http.post(f"{_org(org)}/awaiting", json={"hidden": hidden}, token=token)

    async def some_shares(self, token: str, org: str, shares: Sequence[str]) -> list[Share]:
        """These accesses as far as they are this organisation's, live or ended."""
        params = [("id", share) for share in shares]
        return Shares.model_validate(await self.http.get(f"{_org(org)}/shares", params=params, token=token)).shares

    async def shares(self, token: str, org: str, *, page: int) -> Shares:
        """One page of every live access of the organisation."""
        return Shares.model_validate(await self.http.get(f"{_org(org)}/shares", params=query(page=page), token=token))

    async def invite(self, token: str, org: str, contact: str, wanted: dict[str, Any]) -> list[Invited]:
        """Gives addresses access, or sends their mails again. `wanted`: emails, contact_name, from_date or invoice_ids, ends_on.

        Raises Unprocessable `end_date_over`; a refused address is a result like the others.
        """
        answer = await self.http.post(f"{_org(org)}/contacts/{contact}/shares", json=wanted, token=token)
        return [Invited.model_validate(result) for result in answer["results"]]

    async def carry_over(self, token: str, org: str, contact: str, contact_name: str) -> list[Share]:
        """Carries every live access of a merged client over to the one it was merged into, which is called that; the accesses there.

        Raises NotFound for a client that was not merged.
        """
        answer = await self.http.post(f"{_org(org)}/contacts/{contact}/carry-over", json={"contact_name": contact_name}, token=token)
        return [Share.model_validate(share) for share in answer["shares"]]

    async def uses(self, token: str, org: str, emails: Sequence[str]) -> list[AddressUse]:
        """Where these addresses have access in this organisation."""
        params = [("email", email) for email in emails]
        answer = await self.http.get(f"{_org(org)}/address-uses", params=params, token=token)
        return [AddressUse.model_validate(use) for use in answer["uses"]]

    async def end_many(self, token: str, org: str, shares: Sequence[str]) -> list[Ended]:
        """Ends accesses now, each with its own result."""
        answer = await self.http.post(f"{_org(org)}/shares/end", json={"share_ids": list(shares)}, token=token)
        return [Ended.model_validate(result) for result in answer["results"]]

    async def end(self, token: str, org: str, share: str) -> Share:
        """Ends an access now; ending it twice answers the same."""
        return Share.model_validate(await self.http.post(f"{_org(org)}/shares/{share}/end", token=token))

    async def resend(self, token: str, org: str, share: str) -> Share:
        """Mails the invitation of a live access again. Raises RateLimited `too_soon` within a minute of the last time."""
        return Share.model_validate(await self.http.post(f"{_org(org)}/shares/{share}/resend", token=token))

    async def stored_invoice(self, token: str, org: str, contact: str, invoice_id: str) -> StoredInvoice:
        """One stored invoice with its history and who opened it. Raises NotFound when it is not stored under this contact."""
        return StoredInvoice.model_validate(await self.http.get(f"{_org(org)}/contacts/{contact}/invoices/{invoice_id}", token=token))

    async def viewings(self, token: str, org: str, share: str) -> list[Viewing]:
        """What was opened through an access, the last one first."""
        answer = await self.http.get(f"{_org(org)}/shares/{share}/viewings", token=token)
        return [Viewing.model_validate(viewing) for viewing in answer["viewings"]]

    async def timeline(self, token: str, org: str, contact: str, *, kind: str = "", before: str = "", limit: int = 50) -> ClientTimeline:
        """What happened with a client, the newest first, of this kind alone and from this place on. Raises Unprocessable for no place."""
        wanted = query(kind=kind, before=before, limit=limit)
        return ClientTimeline.model_validate(await self.http.get(f"{_org(org)}/contacts/{contact}/timeline", params=wanted, token=token))

    async def preview_sender(self, token: str, org: str, share: str, wanted: dict[str, str]) -> SenderInvoices:
        """The client's page of one access, for its provider. Raises NotFound when it ended."""
        return SenderInvoices.model_validate(await self.http.get(f"{_org(org)}/shares/{share}/preview", params=wanted, token=token))

    async def preview_invoice(self, token: str, org: str, share: str, invoice_id: str) -> OneInvoice:
        """The client's page of one invoice, for its provider."""
        return OneInvoice.model_validate(await self.http.get(f"{_org(org)}/shares/{share}/preview/{invoice_id}", token=token))

    async def preview_terms(self, token: str, org: str, contact: str, terms: Mapping[str, Any]) -> WouldSee:
        """The client's page as a share of these terms would show it. `terms`: from_date or invoice_ids, and which part of the page."""
        return WouldSee.model_validate(await self.http.post(f"{_org(org)}/contacts/{contact}/preview", json=terms, token=token))

    async def preview_invoice_of_terms(
        self, token: str, org: str, contact: str, invoice_id: str, terms: Mapping[str, Any]
    ) -> WouldSeeInvoice:
        """The client's page of one invoice, the same way. Raises NotFound for one these terms would not show."""
        answer = await self.http.post(f"{_org(org)}/contacts/{contact}/preview/{invoice_id}", json=terms, token=token)
        return WouldSeeInvoice.model_validate(answer)

    async def stored_invoices(self, token: str, org: str, contact: str, wanted: Mapping[str, Any]) -> InvoiceList:
        """The same as GatewayClient.invoices from what is stored. Raises NotFound when nothing is."""
        return InvoiceList.model_validate(await self.http.get(f"{_org(org)}/contacts/{contact}/invoices", params=wanted, token=token))

    # ── for clients

    async def client_home(self, token: str) -> Home:
        """Everything shared with this client, per sender and currency."""
        return Home.model_validate(await self.http.get("/internal/client/home", token=token))

    async def client_sender(self, token: str, org: str, wanted: dict[str, str]) -> SenderInvoices:
        """One page of a sender's invoices; `wanted` holds view, search, page, contact, date_from, date_to where they are asked for."""
        return SenderInvoices.model_validate(await self.http.get(_sender(org), params=wanted, token=token))

    async def client_list(self, token: str, org: str, wanted: dict[str, str]) -> SenderInvoices:
        """All rows of what `client_sender` shows page by page, recorded as a download. Raises Unprocessable `too_many`."""
        return SenderInvoices.model_validate(await self.http.get(f"{_sender(org)}/list", params=wanted, token=token))

    async def client_statement(self, token: str, org: str, wanted: dict[str, str]) -> Statement:
        """A statement; `wanted` holds period, contact, date_from, date_to where they are asked for, and `doing`, which is recorded."""
        return Statement.model_validate(await self.http.get(f"{_sender(org)}/statement", params=wanted, token=token))

    async def ask_for_pdfs(self, token: str, org: str, wanted: dict[str, str]) -> str:
        """Asks for the PDFs of what `client_list` would show; the download's id. Raises Unprocessable `too_many`, `nothing_to_download`."""
        return str((await self.http.post(f"{_sender(org)}/downloads?{urlencode(wanted)}", token=token))["id"])

    async def downloads(self, token: str) -> list[Download]:
        """This client's downloads, the newest first."""
        answer = await self.http.get("/internal/client/downloads", token=token)
        return [Download.model_validate(download) for download in answer["downloads"]]

    async def download(self, token: str, download: str) -> Download:
        """One of them with what may be taken away now. Raises NotFound when that is nothing."""
        return Download.model_validate(await self.http.get(f"/internal/client/downloads/{_plain(download)}", token=token))

    async def client_invoice(self, token: str, org: str, invoice_id: str) -> OneInvoice:
        """One invoice with its lines."""
        return OneInvoice.model_validate(await self.http.get(f"{_sender(org)}/invoices/{_plain(invoice_id)}", token=token))

    async def grant_pdf(self, token: str, org: str, invoice_id: str) -> PdfGrant:
        """The right to one invoice's PDF, which counts as a download."""
        return PdfGrant.model_validate(await self.http.post(f"{_sender(org)}/invoices/{_plain(invoice_id)}/pdf", token=token))

    async def decline(self, token: str, org: str, contact: str) -> None:
        """Ends what this client may see of a sender, of one contact when it is named. Raises NotFound when that is nothing."""
        await self.http.post(f"{_sender(org)}/decline{'?' + urlencode({'contact': contact}) if contact else ''}", token=token)

    async def invitation_sender(self, token: str, invitation: str) -> str:
        """The organisation behind an invitation to this client's own address. Raises NotFound for every other one."""
        answer = await self.http.get(f"/internal/client/invitations/{_plain(invitation)}", token=token)
        return str(answer["organisation_id"])


class PortalClient:
    """portal: clients, their sessions, sign-in links and codes."""

    def __init__(self, http: ServiceClient) -> None:
        self.http = http

    async def identify(self, session: str, audiences: Sequence[str]) -> ClientIdentity:
        """Who a client's cookie belongs to. Raises NotSignedIn."""
        asked: dict[str, Any] = {"session": session, "audiences": list(audiences)}
        return ClientIdentity.model_validate(await self.http.post("/internal/identify", json=asked))

    async def end_session(self, session: str, *, everywhere: bool = False) -> None:
        """Signs that session out, or every session of its client."""
        await self.http.post("/internal/sessions/end", json={"session": session, "everywhere": everywhere})

    async def ask_for_link(self, *, by: str, value: str, browser: str, agent: str, network: str) -> int:
        """Asks for a sign-in mail by `email`, `invitation` or dead `link`; the seconds until this browser may ask again.

        Answers the same whether or not a mail is sent. Raises RateLimited `too_soon` and Unprocessable `invalid_address`.
        """
        asked = {by: value, "browser": browser, "agent": agent, "network": network}
        return int((await self.http.post("/internal/sign-in-requests", json=asked))["wait_seconds"])

    async def inspect_link(self, token: str, *, browser: str, session: str | None) -> LinkState:
        """What a link is worth in this browser; changes nothing."""
        asked = {"token": token, "browser": browser, "session": session}
        return LinkState.model_validate(await self.http.post("/internal/links/inspect", json=asked))

    async def redeem_link(self, token: str, *, browser: str, agent: str, email: str | None) -> SignedIn:
        """Spends a link. Raises Conflict when it is used, expired or replaced, NotFound, and Unprocessable `wrong_address`."""
        asked = {"token": token, "browser": browser, "agent": agent, "email": email}
        return SignedIn.model_validate(await self.http.post("/internal/links/redeem", json=asked))

    async def redeem_code(self, code: str, *, browser: str, agent: str) -> SignedIn:
        """Spends a code. Raises Unprocessable `wrong_code`, and NotFound when this browser has none that is good."""
        asked = {"code": code, "browser": browser, "agent": agent}
        return SignedIn.model_validate(await self.http.post("/internal/codes/redeem", json=asked))

    async def sessions(self, session: str) -> list[Device]:
        """Every browser signed in as the same client, used last first. Raises NotSignedIn."""
        answer = await self.http.post("/internal/sessions/list", json={"session": session})
        return [Device.model_validate(device) for device in answer["sessions"]]

    async def end_other_session(self, session: str, other: str) -> None:
        """Signs another browser of the same client out, by its id. Raises NotSignedIn."""
        await self.http.post("/internal/sessions/end-other", json={"session": session, "other": other})

    async def mail_failing_since(self) -> datetime | None:
        """Since when no mail leaves, for anybody; None while they leave."""
        return MailServer.model_validate(await self.http.get("/internal/mail-server")).failing_since


def _org(organisation_id: str) -> str:
    return f"/internal/organisations/{organisation_id}"


def _sender(organisation_id: str) -> str:
    return f"/internal/client/senders/{_plain(organisation_id)}"


def _plain(part: str) -> str:
    """One segment of a path, from an address somebody may have typed. Raises NotFound for what no id of ours can be."""
    if not PLAIN.fullmatch(part):
        raise NotFound
    return part
