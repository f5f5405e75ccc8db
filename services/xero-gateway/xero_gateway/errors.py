"""Every error code of this service. Whatever is unknown, foreign or ended is common's one `not_found`."""

from common.errors import Conflict, Unavailable


class XeroNeedsReauth(Conflict):
    """No login of this organisation may read it any more; somebody has to sign in with Xero again."""

    code = "xero_needs_reauth"
    title = "Xero asks to sign in again"


class XeroUnavailable(Unavailable):
    """Xero does not answer, or not with anything that can be used."""

    code = "xero_unavailable"
    title = "Xero is not answering"


class XeroBusy(Unavailable):
    """Xero's limits, or ours in front of them, allow no call now; `retry_after` says in seconds when to try again."""

    code = "xero_busy"
    title = "Xero allows no more requests right now"


XeroProblem = XeroNeedsReauth | XeroUnavailable | XeroBusy
"""What passes by itself or by somebody's signing in: background work waits for it and goes on."""

XERO_PROBLEMS = (XeroNeedsReauth, XeroUnavailable, XeroBusy)
