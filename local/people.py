"""People who use the running product over HTTP the way a browser does, without one: demo data, proofs and benchmarks are made of them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import Cookie, CookieJar
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

PATIENCE = 60.0
"""Seconds after which something that should have happened by itself counts as broken."""


class NotThere(AssertionError):
    """The page has no such form or link, or something never happened; says what was there instead."""


@dataclass
class Form:
    """A form as it stands: its fields with their values, and its buttons by their text."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass
class Page:
    """An answer, read as far as a person would use it."""

    url: str
    status: int
    text: str
    forms: list[Form]
    links: dict[str, str]

    def form(self, button: str) -> Form:
        """The form with this button."""
        for form in self.forms:
            if button in form.buttons:
                return form
        raise NotThere(
            f"no button “{button}” on {self.url} ({self.status}); there are {[name for form in self.forms for name in form.buttons]}"
        )

    def link(self, text: str) -> str:
        """The address behind this link text."""
        if text not in self.links:
            raise NotThere(f"no link “{text}” on {self.url} ({self.status}); there are {list(self.links)}")
        return self.links[text]

    @property
    def words(self) -> str:
        """The text without markup, on one line."""
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", self.text))


class Browser:
    """One browser: keeps cookies, follows redirects, sends what a browser sends with a form."""

    def __init__(self, product: str) -> None:
        self.product = product
        limits = httpx.Limits(max_connections=300)
        self.http = httpx.AsyncClient(cookies=_Jar(), follow_redirects=True, timeout=30, limits=limits, trust_env=False)
        self.page = Page(product, 0, "", [], {})

    async def open(self, address: str) -> Page:
        return await self._go("GET", urljoin(self.product, address))

    async def press(self, button: str, **typed: str) -> Page:
        """Presses a button of the page shown, with these fields filled in."""
        return await self._press(button, typed, follow=True)

    async def press_and_stay(self, button: str, **typed: str) -> Page:
        """The same, but the page is the bare answer, wherever it would lead."""
        return await self._press(button, typed, follow=False)

    async def follow(self, link: str) -> Page:
        return await self.open(urljoin(self.page.url, self.page.link(link)))

    async def close(self) -> None:
        await self.http.aclose()

    async def _press(self, button: str, typed: dict[str, str], *, follow: bool) -> Page:
        form = self.page.form(button)
        name, value = form.buttons[button]
        data = {**form.fields, **typed, **({name: value} if name else {})}
        return await self._go(form.method, urljoin(self.page.url, form.action or self.page.url), data, follow)

    async def _go(self, method: str, url: str, data: dict[str, str] | None = None, follow: bool = True) -> Page:
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        headers = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0", "accept": "text/html", "accept-language": "en-NZ"}
        if method == "POST":
            headers |= {"origin": origin, "sec-fetch-site": "same-origin"}
            answer = await self.http.post(url, data=data, headers=headers, follow_redirects=follow)
        else:
            answer = await self.http.get(url, params=data, headers=headers)
        reader = _Reader()
        reader.feed(answer.text)
        self.page = Page(str(answer.url), answer.status_code, answer.text, reader.forms, reader.links)
        return self.page


class Provider(Browser):
    """A business on Xero."""

    organisation = ""

    async def sign_in(self, button: str = "Allow access", **chosen: str) -> Page:
        """Signs in with the simulated Xero by one press; `button` chooses the login, `organisation=` one of several."""
        await self.open("/auth/xero/start")
        page = await self.press(button, **chosen)
        found = re.search(r"/o/(org_\w+)/", page.url)
        if not found:
            raise NotThere(f"signing in led to {page.url} ({page.status}): {page.words[:300]}")
        self.organisation = found[1]
        return page

    async def client_page(self, contact: str, **query: str) -> Page:
        return await self.open(f"/o/{self.organisation}/clients/{contact}?" + "&".join(f"{name}={value}" for name, value in query.items()))

    async def share(self, contact: str, email: str) -> str:
        """Shares a contact with an address; gives the share's id."""
        await self.open(f"/o/{self.organisation}/clients/{contact}/share")
        there = [name for form in self.page.forms for name in form.buttons if name.startswith(("Send invitation", "Share from"))]
        page = await self.press(there[0] if there else "Send invitation", email=email)
        found = re.search(r"share=(shr_\w+)", page.url)
        if not found:
            raise NotThere(f"sharing led to {page.url} ({page.status}): {page.words[:300]}")
        return found[1]

    async def end(self, contact: str, share: str) -> Page:
        await self.open(f"/o/{self.organisation}/clients/{contact}/shares/{share}/end")
        return await self.press("End access")


class Client(Browser):
    """Somebody who was sent invoices."""

    def __init__(self, product: str, inbox: Inbox, email: str) -> None:
        super().__init__(product)
        self.inbox = inbox
        self.email = email

    async def accept_invitation(self) -> Page:
        """Waits for the invitation, presses its button, types the code of the mail that comes."""
        invitation = await self.inbox.wait_for(self.email, "has shared invoices with you")
        await self.open(path_of(next(link for link in invitation["links"] if "/i/" in link)))
        return await self._ask_and_type_code("Send me a sign-in mail")

    async def sign_in(self) -> Page:
        """Signs in from the sign-in page with address and code."""
        await self.open("/sign-in")
        return await self._ask_and_type_code("Send a sign-in mail", email=self.email)

    async def _ask_and_type_code(self, button: str, **typed: str) -> Page:
        seen = {mail["id"] for mail in await self.inbox.mails(self.email)}
        await self.press(button, **typed)
        mail = await self.inbox.wait_for(self.email, "your code to open your invoices", beside=seen)
        return await self.press("Open my invoices", code=mail["subject"][:7])


class Inbox:
    """The simulated mailbox."""

    def __init__(self, url: str) -> None:
        self.http = httpx.AsyncClient(base_url=url, timeout=30, trust_env=False)

    async def mails(self, to: str, subject: str = "") -> list[dict[str, Any]]:
        """Newest first."""
        answer = await self.http.get("/api/mails", params={"to": to, "subject": subject})
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found

    async def wait_for(self, to: str, subject: str, *, beside: set[Any] | frozenset[Any] = frozenset()) -> dict[str, Any]:
        """The newest mail to this address with this in its subject, other than those seen before."""

        async def look() -> dict[str, Any] | None:
            return next((mail for mail in await self.mails(to, subject) if mail["id"] not in beside), None)

        found: dict[str, Any] = await eventually(look, f"a mail to {to} with “{subject}” in its subject")
        return found

    async def faults(self, mode: str, **more: Any) -> None:
        (await self.http.post("/api/faults", json={"mode": mode, **more})).raise_for_status()

    async def close(self) -> None:
        await self.http.aclose()


class Xero:
    """The back office of the simulated Xero, through its control API."""

    def __init__(self, url: str) -> None:
        self.http = httpx.AsyncClient(base_url=url, timeout=30, trust_env=False)

    async def ask(self, path: str, **query: Any) -> Any:
        return (await self.http.get(f"/control{path}", params=query)).raise_for_status().json()

    async def do(self, path: str, **what: Any) -> Any:
        answer = (await self.http.post(f"/control{path}", json=what)).raise_for_status()
        return answer.json() if answer.content else None

    async def contact(self, tenant: str, **query: Any) -> dict[str, Any]:
        """The first contact that matches, by name."""
        found: dict[str, Any] = (await self.ask("/contacts", tenant=tenant, **query))[0]
        return found

    async def close(self) -> None:
        await self.http.aclose()


async def eventually(look: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Asks again and again until the answer is true; gives it. Raises NotThere after `seconds`."""
    ends_at = time.monotonic() + seconds
    while True:
        if found := await look():
            return found
        if time.monotonic() > ends_at:
            raise NotThere(f"never happened: {what}")
        await asyncio.sleep(0.05)


async def patiently(step: Callable[[], Awaitable[Any]], name: str, tries: int = 60) -> Any:
    """Does a step again, once a second, as people do who are told to try again. Raises NotThere when it never works."""
    for left in range(tries, 0, -1):
        try:
            return await step()
        except (NotThere, httpx.HTTPError) as error:
            if left == 1:
                raise NotThere(f"{name} never worked: {error}") from error
            await asyncio.sleep(1)


def path_of(link: str) -> str:
    """A link's path: mails are opened at the product's own address."""
    return urlsplit(link).path


class _Jar(CookieJar):
    """Sends Secure cookies to http://localhost, as browsers do."""

    def set_cookie(self, cookie: Cookie) -> None:
        cookie.secure = False
        super().set_cookie(cookie)


class _Reader(HTMLParser):
    """Collects forms and links."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self._form: Form | None = None
        self._open: tuple[str, dict[str, str], list[str]] | None = None
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get").upper())
            self.forms.append(self._form)
        elif tag in ("a", "button"):
            self._open = (tag, given, [])
        elif self._form and tag == "input" and ("checked" in given or given.get("type") not in ("checkbox", "radio", "submit")):
            self._form.fields[given.get("name", "")] = given.get("value", "")
        elif tag == "select":
            self._select = given.get("name")
        elif tag == "option" and self._form and self._select and ("selected" in given or self._select not in self._form.fields):
            self._form.fields[self._select] = given.get("value", "")

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[2].append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif self._open and tag == self._open[0]:
            _, given, said = self._open
            text = " ".join("".join(said).split())
            if tag == "a":
                self.links.setdefault(text, given.get("href", ""))
            elif self._form:
                self._form.buttons[text] = (given.get("name", ""), given.get("value", ""))
            self._open = None
