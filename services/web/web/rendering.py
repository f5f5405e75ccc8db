"""Templates: one Jinja environment, its filters, its texts and the names of the static files.

Interface for pages: `render(request, "portal/home.html", status=200, time_zone=…, **values)` gives the answer. In every template:
- `_("…{…}")` texts: `_("Continue to %(org)s", org=name)`, `ngettext("%(num)s invoice", "%(num)s invoices", n)`; values are escaped
- `form_token(side)` the hidden field, `static("app.css")` the address of a static file, `here(page=2, search=None)` this address with
  other query values (None takes one away), `reader` (web.formats.Reader), `demo_links`, `current_path`
- filters: `amount(minor, currency)` is the macro to use for money; `value|figures(currency)`, `value|number`, `date|day`, `text|iso_day`,
  `date|short_day(today)`, `moment|ago` and `moment|moment` and `moment|clock` (give a `<time>` element), `id|tint`, `name|initials`
- `now` the time of the request, `theme` what this browser chose: "auto", "light" or "dark"
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import date, datetime
from functools import lru_cache
from gettext import NullTranslations
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from common.clock import utc_now
from web import formats, security
from web.formats import Reader
from web.themes import theme_of

HERE = Path(__file__).parent
PASSING = frozenset({"done", "share", "again", "too_many"})
"""Query values that say what has just happened; links made from this address leave them out."""

_reader: ContextVar[Reader] = ContextVar("reader")


def render(request: Request, template: str, *, status: int = 200, time_zone: str | None = None, **values: Any) -> HTMLResponse:
    """A page as an answer. `time_zone` is the organisation's IANA name, the installation's default when it is not known."""
    reader, settings = reader_of(request, time_zone), request.app.state.settings
    _reader.set(reader)
    page = ENVIRONMENT.get_template(template).render(
        {
            "form_token": lambda side: security.form_token(request, side),
            "here": lambda **changes: _here(request, changes),
            "current_path": request.url.path,
            "reader": reader,
            "now": reader.now,
            "theme": theme_of(request),
            "demo_links": settings.demo_links,
            "default_time_zone": settings.default_time_zone,
            **values,
        }
    )
    response = HTMLResponse(page, status, headers={"content-language": reader.language, "vary": "Cookie, Accept-Language"})
    security.keep_browser(request, response)
    return response


def reader_of(request: Request, time_zone: str | None = None) -> Reader:
    """Whom an answer is written for; `time_zone` as for `render`."""
    settings = request.app.state.settings
    return formats.reader(request.headers.get("accept-language", ""), time_zone or settings.default_time_zone, utc_now())


def static(name: str) -> str:
    """The address of a file of the static folder; its name holds a hash of the content, so it may be kept for ever."""
    return f"/static/{_static_files()[0][name]}"


def static_file(hashed_name: str) -> tuple[bytes, str] | None:
    """Content and media type of a static file by its hashed name."""
    return _static_files()[1].get(hashed_name)


@lru_cache(maxsize=1)
def _static_files() -> tuple[dict[str, str], dict[str, tuple[bytes, str]]]:
    names: dict[str, str] = {}
    contents: dict[str, tuple[bytes, str]] = {}
    paths = sorted((path for path in (HERE / "static").rglob("*") if path.is_file()), key=lambda path: path.suffix == ".css")
    for path in paths:
        name = path.relative_to(HERE / "static").as_posix()
        content = path.read_bytes() if path.suffix != ".css" else _with_hashed_urls(path.read_text(), names)
        stem, dot, ending = name.rpartition(".")
        names[name] = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}{dot}{ending}"
        contents[names[name]] = (content, _media_type(path))
    return names, contents


def _with_hashed_urls(css: str, names: Mapping[str, str]) -> bytes:
    return re.sub(r'url\("([^"]+)"\)', lambda found: f'url("/static/{names[found[1]]}")', css).encode()


def _media_type(path: Path) -> str:
    kind = {".woff2": "font/woff2", ".js": "text/javascript"}.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _here(request: Request, changes: Mapping[str, object]) -> str:
    query = {name: value for name, value in request.query_params.items() if value and name not in PASSING}
    query.update({name: str(value) for name, value in changes.items() if value not in (None, "")})
    kept = {name: value for name, value in query.items() if changes.get(name, value) not in (None, "")}
    return f"{request.url.path}?{urlencode(kept)}" if kept else request.url.path


def _time(moment: datetime, words: str, full: str) -> Markup:
    return Markup('<time datetime="{}" title="{}">{}</time>').format(moment.strftime("%Y-%m-%dT%H:%M:%SZ"), full, words)


def _day(day: date, words: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(day.isoformat(), words)


def _ago(moment: datetime) -> Markup:
    reader = _reader.get()
    return _time(moment, reader.ago(moment), reader.moment(moment))


def _moment(moment: datetime) -> Markup:
    return _time(moment, _reader.get().moment(moment), _reader.get().moment(moment))


def _clock(moment: datetime) -> Markup:
    return _time(moment, _reader.get().clock(moment), _reader.get().moment(moment))


FILTERS = {
    "figures": lambda minor, currency: _reader.get().figures(minor, currency),
    "number": lambda text: _reader.get().number(text),
    "day": lambda day: _day(day, _reader.get().day(day)),
    "short_day": lambda day, today: _day(day, _reader.get().short_day(day, today)),
    "iso_day": lambda text: _day(date.fromisoformat(text), _reader.get().day(date.fromisoformat(text))),
    "ago": _ago,
    "moment": _moment,
    "clock": _clock,
    "tint": formats.tint,
    "initials": formats.initials,
    "settled_share": formats.settled_share,
}


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(NullTranslations(), newstyle=True)  # type: ignore[attr-defined]
    environment.globals.update(static=static, latest=formats.latest)
    environment.filters.update(FILTERS)
    return environment


ENVIRONMENT = _environment()
