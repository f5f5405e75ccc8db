"""Light, dark, or as the system has it: a display choice of one browser, kept in its cookie and put on the page by the server."""

from __future__ import annotations

from fastapi import Request, Response

COOKIE = "__Host-theme"
KEPT_SECONDS = 400 * 24 * 3600
"""As long as a browser keeps any cookie (Chromium and RFC 6265bis: 400 days); choosing again renews it."""

AUTO = "auto"
FORCED = frozenset({"light", "dark"})


def theme_of(request: Request) -> str:
    """“auto”, “light” or “dark”; what a cookie says beyond these is not believed."""
    chosen = request.cookies.get(COOKIE, "")
    return chosen if chosen in FORCED else AUTO


def keep_theme(response: Response, chosen: object) -> None:
    """Keeps the choice for both sides of the site; anything but “light” and “dark” is Auto, which is the absence of a choice."""
    if chosen in FORCED:
        response.set_cookie(COOKIE, str(chosen), max_age=KEPT_SECONDS, path="/", secure=True, httponly=True, samesite="lax")
    else:
        response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
