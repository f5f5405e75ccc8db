"""What a browser sees when something is refused or fails: one page per status, in the frame of every page, holding no data."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.correlation import correlation_id
from common.errors import ServiceError
from common.logging import get_logger
from web.errors import ProviderSignedOut
from web.rendering import render
from web.visits import OWN_PAGE, RETURN_COOKIE, RETURN_SECONDS, Visit

CLIENT_SIDE = ("/invoices", "/downloads", "/account", "/i/", "/s/", "/sign-in")
log = get_logger()
FRAMELESS = frozenset({404, 500})
"""Pages without the provider's band although the visit is known: the common 404, and the one after a fault that may lie in the band."""

PAGES = frozenset({400, 401, 403, 404, 405, 409, 413, 421, 422, 429, 500, 503})


def install(app: FastAPI) -> None:
    """Gives every failure its page, in place of the problem documents services send each other."""
    app.add_exception_handler(ProviderSignedOut, _signed_out)
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.user_middleware.append(Middleware(LastNet))


def failure_page(request: Request, status: int, code: str = "", retry_after: float | None = None) -> Response:
    """The page of a status. The one for 404 is the same for everybody and everything; its reference stands in the header only."""
    visit: Visit | None = getattr(request.state, "visit", None) if status not in FRAMELESS else None
    response = render(
        request,
        "error.html",
        status=status,
        code=code,
        kind=status if status in PAGES else 500,
        client_side=status == 404 or request.url.path.startswith(CLIENT_SIDE),
        reference=None if status == 404 else correlation_id(),
        retry_after=retry_after,
        **(visit.frame() | {"frame": "provider"} if visit else {"organisation": None}),
    )
    if retry_after is not None or status == 503:
        response.headers["retry-after"] = str(max(1, round(retry_after or 30)))
    return response


async def _signed_out(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProviderSignedOut)
    home = f"/?signed_out={error.why}" if error.why else "/?sign_in=1"
    answer = Response(status_code=204, headers={"hx-redirect": home})
    response = answer if "hx-request" in request.headers else RedirectResponse(home, 303)
    if OWN_PAGE.fullmatch(error.come_back):
        response.set_cookie(RETURN_COOKIE, error.come_back, max_age=RETURN_SECONDS, path="/", secure=True, httponly=True, samesite="lax")
    return response


async def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return failure_page(request, error.status, error.code, error.retry_after)


async def _invalid(request: Request, error: Exception) -> Response:
    """An address that names no possible thing is not found; a value of the query or the form that cannot be is a 422."""
    assert isinstance(error, RequestValidationError)
    in_path = any(fault["loc"][0] == "path" for fault in error.errors())
    return failure_page(request, 404 if in_path else 422)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return failure_page(request, error.status_code)


class LastNet:
    """What nobody foresaw becomes a page as well, and is logged with its trace. Sits inside the layers every service has."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with the page of 500 unless an answer has begun."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            log.error("request.failed", method=scope["method"], exc_info=error)
            await failure_page(Request(scope, receive), 500)(scope, receive, send)
