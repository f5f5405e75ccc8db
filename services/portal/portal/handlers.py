"""Events in: portal consumes none."""

from __future__ import annotations

from common.events import Handlers

HANDLERS: Handlers = {}
