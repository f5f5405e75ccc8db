"""What the notifier is made of."""

from __future__ import annotations

from fastapi import FastAPI

from common.backup import Keeping
from common.crypto import KeyRing
from common.erasure import Eraser
from common.service import create_service
from notifier import mails, store
from notifier.handlers import HANDLERS
from notifier.mailer import Mailer
from notifier.returns import Returns
from notifier.settings import Settings

RING = "event-seal"


def create_app(settings: Settings | None = None) -> FastAPI:
    options = settings or Settings()
    mailer = Mailer(options, KeyRing.load(options.keys_dir / "rings" / f"{RING}.json"))
    loops = (mailer, Returns(options), Eraser(mails.forget))
    return create_service(
        "notifier",
        options,
        handlers=HANDLERS,
        loops=loops,
        indexes=store.INDEXES,
        resources={"mailer": mailer},
        keeping=Keeping(settle=mails.settle_restored),
    )
