"""Every error a service may answer with, as one tree.

    ServiceError                 status  retry?
     ├── BadRequest                 400  no     the request cannot be understood
     ├── NotSignedIn                401  no     nobody is signed in, or the caller's token is not valid
     ├── Forbidden                  403  no     known caller, not allowed here
     ├── NotFound                   404  no     unknown, foreign, ended and deleted alike
     ├── Conflict                   409  no     the thing is not in a state that allows this
     ├── Unprocessable              422  no     understood, but a value is wrong
     ├── RateLimited                429  later  too many requests; retry_after in seconds
     └── Unavailable                503  yes    something this service needs does not answer

A service subclasses these in its own errors.py and sets `code`. The code is what programs compare; `detail` is for people.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ServiceError(Exception):
    """An error with an HTTP status and a stable code; `extra` values become members of the problem document."""

    status: ClassVar[int] = 500
    code: str = "internal_error"
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(self, detail: str = "", *, code: str | None = None, retry_after: float | None = None, **extra: Any) -> None:
        super().__init__(detail or code or self.code)
        self.detail = detail
        self.code = code or self.code
        self.retry_after = retry_after
        self.extra = extra


class BadRequest(ServiceError):
    status = 400
    code = "bad_request"
    title = "The request cannot be understood"


class NotSignedIn(ServiceError):
    status = 401
    code = "not_signed_in"
    title = "Sign in first"


class Forbidden(ServiceError):
    status = 403
    code = "forbidden"
    title = "Not allowed"


class NotFound(ServiceError):
    """Says the same for unknown, foreign, ended and deleted things, so that ids cannot be probed: it takes no detail."""

    status = 404
    code = "not_found"
    title = "Not found"


class Conflict(ServiceError):
    status = 409
    code = "conflict"
    title = "Not possible in the present state"


class Unprocessable(ServiceError):
    status = 422
    code = "invalid_request"
    title = "A value is not valid"


class RateLimited(ServiceError):
    status = 429
    code = "too_many_requests"
    title = "Too many requests"


class Unavailable(ServiceError):
    status = 503
    code = "unavailable"
    title = "Not available right now"


BY_STATUS: dict[int, type[ServiceError]] = {
    kind.status: kind for kind in (BadRequest, NotSignedIn, Forbidden, NotFound, Conflict, Unprocessable, RateLimited, Unavailable)
}
