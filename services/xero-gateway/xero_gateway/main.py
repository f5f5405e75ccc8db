"""What xero-gateway is made of."""

from __future__ import annotations

from fastapi import FastAPI

from common.backup import Keeping
from common.erasure import Eraser
from common.http import ServiceClient
from common.identity import Signer
from common.service import create_service
from xero_gateway import admin, erasing, store
from xero_gateway.api import router
from xero_gateway.budget import Budget
from xero_gateway.budget_store import BUDGETS
from xero_gateway.clients import AccessTokens
from xero_gateway.handlers import HANDLERS
from xero_gateway.invoice_reader import InvoiceReader
from xero_gateway.pdf_fetcher import PdfFetcher
from xero_gateway.settings import Settings
from xero_gateway.syncer import Changes, FirstLoads, Reconciliation, Webhooks, WebhookWatch
from xero_gateway.xero import Xero
from xero_gateway.xero_calls import XeroCalls

NAME = "xero-gateway"


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service with its routes, handlers, loops and its way to Xero."""
    settings = settings or Settings()
    auth = ServiceClient(settings.auth_url, signer=Signer(NAME, settings.keys_dir), audience="auth")
    budget = Budget(settings.xero_calls_a_day)
    xero = Xero(XeroCalls(settings.xero_api_url, AccessTokens(auth), budget))
    return create_service(
        NAME,
        settings,
        routers=[router],
        handlers=HANDLERS,
        loops=[
            Webhooks(),
            WebhookWatch(),
            Changes(xero),
            FirstLoads(xero),
            PdfFetcher(xero),
            Reconciliation(xero, settings.reconcile_seconds, settings.xero_calls_a_day),
            Eraser(erasing.forget),
        ],
        indexes=store.INDEXES,
        resources={"budget": budget, "invoice_reader": InvoiceReader(xero), "xero": xero},
        admin=[admin.router],
        keeping=Keeping(
            left_out=frozenset({BUDGETS, store.PDFS, store.LIST_HEADS, store.LIST_PARTS}),
            by_itself=frozenset({store.WEBHOOKS, store.ARRIVALS, store.MARKS}),
        ),
    )
