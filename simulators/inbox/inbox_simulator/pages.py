"""The pages: the list, one mail, and the HTML part of a mail in its cage."""

import re
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from inbox_simulator.api import CurrentFaults, Mails
from inbox_simulator.faults import IN_WORDS, Fault, Mode
from inbox_simulator.mails import WEB_ADDRESS

router = APIRouter(include_in_schema=False)

OUR_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A mail may have colours and its own styles. It may not run, load, send or frame anything, and only a person's press leads out of it.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox allow-top-navigation-by-user-activation"
)
HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@router.get("/")
async def inbox(request: Request, store: Mails, faults: CurrentFaults) -> HTMLResponse:
    """All mails, newest first; the page asks again every five seconds."""
    return page(request, "inbox.html", mails=store.list_mails(), fault=faults.current, modes=IN_WORDS)


@router.get("/mails/{number}")
async def mail(request: Request, number: int, store: Mails) -> HTMLResponse:
    found = store.find(number)
    if found is None:
        return page(request, "missing.html", status=404)
    return page(request, "mail.html", mail=found, text=with_links(found.text or ""))


@router.get("/mails/{number}/html")
async def mail_html(number: int, store: Mails) -> HTMLResponse:
    """The HTML part as it was sent, for the frame on the mail's page."""
    found = store.find(number)
    html = opening_in_the_whole_tab(found.html) if found and found.html else ""
    return HTMLResponse(html, 200 if html else 404, {"Content-Security-Policy": MAIL_POLICY, "Referrer-Policy": "no-referrer"})


@router.post("/empty")
async def empty(store: Mails) -> RedirectResponse:
    store.empty()
    return RedirectResponse("/", 303)


@router.get("/faults")
async def choose_fault(request: Request, faults: CurrentFaults) -> HTMLResponse:
    """Its own page, because the list reloads itself while one chooses."""
    return page(request, "faults.html", fault=faults.current, modes=IN_WORDS)


@router.post("/faults")
async def set_fault(faults: CurrentFaults, mode: Annotated[Mode, Form()]) -> RedirectResponse:
    faults.current = Fault(mode=mode)
    return RedirectResponse("/", 303)


def page(request: Request, template: str, status: int = 200, **values: object) -> HTMLResponse:
    html = templates.get_template(template).render(product_url=request.app.state.settings.product_url, **values)
    headers = {"Content-Security-Policy": OUR_POLICY, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
    return HTMLResponse(html, status, headers)


def with_links(text: str) -> Markup:
    """The text part with its web addresses as links; everything else is shown as it is."""
    pieces, end = [], 0
    for match in WEB_ADDRESS.finditer(text):
        address = match.group().rstrip(".,;:!?")
        pieces += [escape(text[end : match.start()]), Markup('<a href="{0}">{0}</a>').format(address)]
        end = match.start() + len(address)
    return Markup("").join([*pieces, escape(text[end:])])


def opening_in_the_whole_tab(html: str) -> str:
    """Links of the framed mail open in the tab, as they do in a mail program, not inside the frame."""
    base = '<base target="_top">'
    head = HEAD.search(html)
    return html[: head.end()] + base + html[head.end() :] if head else base + html
