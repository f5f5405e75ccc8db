"""Every error of auth: what its API answers, and why a sign-in or a grant came to nothing."""

from __future__ import annotations

from typing import Literal

from common.errors import Conflict, NotSignedIn, Unavailable

Failure = Literal["declined", "no_organisation", "expired", "failed", "unavailable"]
"""What the start page says after a sign-in that came to nothing: /?xero=<failure>."""


class SessionIdle(NotSignedIn):
    """This session ended because it was not used for an hour."""

    code = "session_idle"


class SessionOver(NotSignedIn):
    """This session ended twelve hours after the sign-in."""

    code = "session_over"


class XeroNeedsReauth(Conflict):
    """No login of this organisation can read it any more; somebody has to sign in with Xero again."""

    code = "xero_needs_reauth"


class XeroUnavailable(Unavailable):
    """Xero gave no usable answer: network, time, 5xx, or a page where data should be. Says nothing about the grant."""

    code = "xero_unavailable"


class LeavingUnderWay(Conflict):
    """This was chosen before and goes on by itself."""

    code = "leaving_under_way"


class GrantRefused(Exception):
    """Xero says `invalid_grant`: this code or refresh token is worth nothing."""


class SignInFailed(Exception):
    """A sign-in that must not go on. `reason` is for the log and holds nothing secret."""

    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(reason)
        self.failure = failure
        self.reason = reason
