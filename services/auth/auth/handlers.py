"""Events in: auth consumes none."""

from __future__ import annotations

from common.events import Handlers

HANDLERS: Handlers = {}
