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


class XeroRefused(XeroUnavailable):
    """Xero refuses a token, twice, of a connection that is said to be in order. `scope`: for want of a permission."""

    def __init__(self, status: int, *, scope: bool) -> None:
        super().__init__("Xero refuses a connection that is said to be in order.")
        self.refused_with = status
        self.scope = scope


class XeroTooLarge(XeroUnavailable):
    """Xero's answer is larger than can be taken; asking for less may help."""


class PdfNotKept(Unavailable):
    """Nobody asked for this PDF yet, or not lately, and Xero was not to be asked."""

    code = "pdf_not_kept"


class PdfNotCurrent(Unavailable):
    """Xero's PDF would show another version of the invoice, or another contact's, than the one that was granted."""

    code = "pdf_not_current"
    title = "The invoice is changing"


class XeroBusy(Unavailable):
    """Xero's limits, or ours in front of them, allow no call now; `retry_after` says in seconds when to try again.

    `limit` in `extra` names Xero's limit behind it, `minute` or `day`, where there is one.
    """

    code = "xero_busy"
    title = "Xero allows no more requests right now"


XeroProblem = XeroNeedsReauth | XeroUnavailable | XeroBusy
"""What passes by itself or by somebody's signing in: background work waits for it and goes on."""

XERO_PROBLEMS = (XeroNeedsReauth, XeroUnavailable, XeroBusy)
