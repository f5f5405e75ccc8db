"""Every error code portal answers with beside those of common: 401 `not_signed_in`, 422 `invalid_request`, 503 `sharing_unavailable`."""

from __future__ import annotations

from common.errors import Conflict, NotFound, RateLimited, Unprocessable


class TooSoon(RateLimited):
    """Retry-After says when; the same for every address, known or not."""

    code = "too_soon"


class AddressInvalid(Unprocessable):
    code = "invalid_address"


class LinkUsed(Conflict):
    code = "link_used"


class LinkExpired(Conflict):
    code = "link_expired"


class LinkReplaced(Conflict):
    code = "link_replaced"


class LinkUnknown(NotFound):
    """Unknown, purged, dead after wrong tries, or ended with its access."""

    code = "link_unknown"


class WrongAddress(Unprocessable):
    """`tries_left` more addresses may be tried on this link."""

    code = "wrong_address"


class WrongCode(Unprocessable):
    """`tries_left` more codes may be tried; the same whether or not a mail was sent."""

    code = "wrong_code"


class CodeUnknown(NotFound):
    """This browser has nothing open that a code could belong to."""

    code = "code_unknown"
