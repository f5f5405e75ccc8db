"""Rendering of the simulator's own pages: plain HTML, no script, "Simulator" on each."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.templating import Jinja2Templates

FOLDER = Path(__file__).parent
POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
templates = Jinja2Templates(FOLDER / "templates")


def page(request: Request, template: str, values: Mapping[str, Any] | None = None, status: int = 200) -> Response:
    response = templates.TemplateResponse(request, template, {"settings": request.app.state.simulator.settings, **(values or {})}, status)
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def grouped(amount: Decimal) -> str:
    """`12,345,678.90`"""
    return f"{amount:,.2f}"


templates.env.filters["money"] = grouped
