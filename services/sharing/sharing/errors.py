"""Every error code sharing answers beside the one `not_found`."""

from __future__ import annotations

from common.errors import Conflict, RateLimited, Unprocessable


class InvalidShareAddress(Unprocessable):
    """No mail can be sent to what was typed; the detail says why."""

    code = "invalid_address"


class EndDateOver(Unprocessable):
    """The day an access should end on is over already."""

    code = "end_date_over"


class OrganisationNotReady(Conflict):
    """The organisation was connected moments ago and its name is not here yet; the same request works shortly after."""

    code = "organisation_not_ready"


class EndingAccess(Conflict):
    """All access of the organisation is being ended; a minute later it can be given again."""

    code = "ending_access"


class ResendTooSoon(RateLimited):
    """The invitation was sent moments ago; `retry_after` says how long it rests."""

    code = "too_soon"


class TooMany(Unprocessable):
    """More than one answer holds; a narrower choice works."""

    code = "too_many"


class NothingToDownload(Unprocessable):
    """What was asked for holds no invoice."""

    code = "nothing_to_download"
