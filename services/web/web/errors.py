"""Every error web itself raises; templates/error.html has their words."""

from __future__ import annotations

from common.errors import Forbidden, NotSignedIn


class CrossSite(Forbidden):
    """An unsafe request that did not come from one of our own pages."""

    code = "cross_site"
    title = "This did not come from our page"


class StaleForm(Forbidden):
    """The form token is not the one of this browser's present session."""

    code = "stale_form"
    title = "This form is out of date"


class CookiesRefused(Forbidden):
    """The browser did not send back the cookie that came with the form."""

    code = "cookies_refused"
    title = "No cookies for this site"


class ProviderSignedOut(NotSignedIn):
    """A provider's page without a live session. `come_back` is the address on this site to return to after signing in.

    `why` is the code auth refused the cookie with, None when the browser showed none.
    """

    code = "provider_signed_out"

    def __init__(self, *, why: str | None, come_back: str) -> None:
        super().__init__()
        self.why = why
        self.come_back = come_back
