"""Webhooks: events are stored with the change that caused them, batched, signed, sent and sent again until answered with 2xx."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import secrets
import string
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from xero_simulator.clock import Clock, from_ms, to_ms
from xero_simulator.documents import Contact, Credit, Invoice
from xero_simulator.faults import Faults
from xero_simulator.settings import Settings
from xero_simulator.store import Store

TIMEOUT = 5.0
BATCH_WINDOW, SHUFFLE_WINDOW = 0.1, 2.0
LARGEST_BATCH = 50
RETRY_SECONDS = (1, 2, 5, 15, 60, 300)
LATER_RETRIES, GIVE_UP_AFTER, KEPT_FOR = 900, timedelta(hours=24), timedelta(days=31)
RESOURCES = {
    "INVOICE": "Invoices",
    "CONTACT": "Contacts",
    "CREDITNOTE": "CreditNotes",
    "OVERPAYMENT": "Overpayments",
    "PREPAYMENT": "Prepayments",
}
CREDITS = {
    "credit_note": ("CREDITNOTE", "ACCRECCREDIT"),
    "overpayment": ("OVERPAYMENT", "RECEIVE-OVERPAYMENT"),
    "prepayment": ("PREPAYMENT", "RECEIVE-PREPAYMENT"),
}

log = logging.getLogger("xero_simulator.webhooks")


def sign(body: bytes, key: str) -> str:
    """`base64(HMAC-SHA256(key, body))`, what Xero puts in x-xero-signature."""
    return base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()


def body_of(events: list[str], first: int, last: int) -> str:
    """The payload in Xero's own spacing, which signature checks must not disturb."""
    entropy = "".join(secrets.choice(string.ascii_uppercase) for _ in range(20))
    return f'{{"events":[{",".join(events)}],"firstEventSequence": {first},"lastEventSequence": {last}, "entropy": "{entropy}"}}'


def announce(store: Store, public_url: str, kind: str, changed: Invoice | Contact | Credit, now: datetime) -> None:
    """Stores a CREATE or UPDATE event, in the caller's transaction, if the app is connected to that organisation."""
    if not store.row("SELECT 1 FROM connections WHERE organisation = ? AND live", changed.organisation):
        return
    category = CREDITS[changed.kind][0] if isinstance(changed, Credit) else "INVOICE" if isinstance(changed, Invoice) else "CONTACT"
    event: dict[str, Any] = {
        "resourceUrl": f"{public_url}/api.xro/2.0/{RESOURCES[category]}/{changed.id}",
        "resourceId": changed.id,
        "tenantId": changed.organisation,
        "tenantType": "ORGANISATION",
        "eventCategory": category,
        "eventType": kind,
        "eventDateUtc": now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03}",
    }
    if isinstance(changed, Credit):
        event["data"] = {"Type": CREDITS[changed.kind][1], "Status": changed.status}
    store.run("INSERT INTO events (body) VALUES (?)", json.dumps(event, separators=(",", ":")))


@dataclass
class Sender:
    """The loop that delivers. Only this class writes the deliveries table."""

    settings: Settings
    store: Store
    clock: Clock
    faults: Faults
    _awake: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self._awake.set()

    async def run(self) -> None:
        """Delivers for ever; an unexpected error is logged and the loop goes on."""
        async with httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as client:
            while True:
                try:
                    await self.deliver_due(client)
                except Exception:
                    log.exception("delivering webhooks failed")
                await self._sleep()

    async def _sleep(self) -> None:
        """Until something happens, or for a quarter of a second when deliveries wait for their time."""
        pending = self.store.number("SELECT COUNT(*) FROM deliveries WHERE state = 'waiting'")
        try:
            async with asyncio.timeout(0.25 if pending else 5):
                await self._awake.wait()
        except TimeoutError:
            return
        self._awake.clear()
        await asyncio.sleep(SHUFFLE_WINDOW if self.faults.webhooks_shuffled else BATCH_WINDOW)

    async def deliver_due(self, client: httpx.AsyncClient) -> None:
        """Batches what is new, then sends what is due, the oldest first."""
        if not self._may_send():
            return
        self._batch()
        due = self.store.rows("SELECT id FROM deliveries WHERE state = 'waiting' AND next <= ? ORDER BY id", to_ms(self.clock.now()))
        for row in due:
            if self._may_send():
                await self._deliver(client, row["id"])

    def _may_send(self) -> bool:
        return not self.faults.webhooks_off and not self.disabled

    @property
    def disabled(self) -> bool:
        """A delivery was refused for a day: nothing more is sent, and all is kept, until the probe passes."""
        return self.store.row("SELECT 1 FROM deliveries WHERE state = 'stopped' LIMIT 1") is not None

    def _batch(self) -> None:
        with self.store.transaction():
            rows = self.store.rows("SELECT sequence, body FROM events WHERE delivery IS NULL ORDER BY sequence")
            size = 1 if self.faults.webhooks_shuffled else LARGEST_BATCH
            batches = [rows[start : start + size] for start in range(0, len(rows), size)]
            for batch in reversed(batches) if self.faults.webhooks_shuffled else batches:
                self._add_delivery([row["body"] for row in batch], batch[0]["sequence"], batch[-1]["sequence"])

    def _add_delivery(self, events: list[str], first: int, last: int) -> None:
        now = to_ms(self.clock.now())
        later = now + round(self.faults.webhooks_late_seconds * 1000)
        body = body_of(events, first, last)
        for _ in range(2 if self.faults.webhooks_doubled else 1):
            sql = (
                "INSERT INTO deliveries (first, last, events, body, state, attempts, created, next) VALUES (?, ?, ?, ?, 'waiting', 0, ?, ?)"
            )
            self.store.run(sql, first, last, len(events), body, now, later)
        newest = self.store.number("SELECT MAX(id) FROM deliveries")
        self.store.run("UPDATE events SET delivery = ? WHERE sequence BETWEEN ? AND ?", newest, first, last)

    async def _deliver(self, client: httpx.AsyncClient, delivery: int) -> None:
        row = self.store.row("SELECT * FROM deliveries WHERE id = ?", delivery)
        if row is None:
            return
        ok, answer = await self._post(client, row["body"].encode())
        now = self.clock.now()
        if ok:
            self._note(delivery, "delivered", row["attempts"] + 1, now, now, answer)
            return
        retry = RETRY_SECONDS[row["attempts"]] if row["attempts"] < len(RETRY_SECONDS) else LATER_RETRIES
        stopped = now - from_ms(row["created"]) > GIVE_UP_AFTER
        self._note(delivery, "stopped" if stopped else "waiting", row["attempts"] + 1, now, now + timedelta(seconds=retry), answer)

    def _note(self, delivery: int, state: str, attempts: int, now: datetime, following: datetime, answer: str) -> None:
        sql = "UPDATE deliveries SET state = ?, attempts = ?, answered = ?, next = ?, answer = ? WHERE id = ?"
        self.store.run(sql, state, attempts, to_ms(now), to_ms(following), answer, delivery)

    async def _post(self, client: httpx.AsyncClient, body: bytes, signature: str | None = None) -> tuple[bool, str]:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "x-xero-signature": signature or sign(body, self.settings.webhook_key),
        }
        try:
            response = await client.post(self.settings.webhook_url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return False, type(error).__name__
        return response.is_success, str(response.status_code)

    async def intent_to_receive(self) -> dict[str, Any]:
        """Three mis-signed posts and a right one. All answered as they must be: stopped deliveries start again."""
        answers = []
        async with httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as client:
            for rightly_signed in (False, False, True, False):
                body = body_of([], 0, 0).encode()
                signature = sign(body, self.settings.webhook_key)
                changed = signature if rightly_signed else ("B" if signature[0] == "A" else "A") + signature[1:]
                ok, answer = await self._post(client, body, changed)
                passed = ok if rightly_signed else answer == "401"
                answers.append({"rightly_signed": rightly_signed, "answer": answer, "passed": passed})
        result = {"passed": all(answer["passed"] for answer in answers), "answers": answers}
        self.store.remember("intent_to_receive", json.dumps({"at": self.clock.now().isoformat(), **result}))
        if result["passed"]:
            self._resume()
        return result

    def _resume(self) -> None:
        """What was kept goes out again in its order; what is older than 31 days is lost."""
        now = self.clock.now()
        with self.store.transaction():
            self.store.run("UPDATE deliveries SET state = 'lost' WHERE state = 'stopped' AND created < ?", to_ms(now - KEPT_FOR))
            self.store.run("UPDATE deliveries SET state = 'waiting', created = ?, next = 0 WHERE state = 'stopped'", to_ms(now))
        self.wake()

    def state(self, last: int = 50) -> dict[str, Any]:
        """The last deliveries, the newest first, and how many events and deliveries wait."""
        rows = self.store.rows("SELECT * FROM deliveries ORDER BY id DESC LIMIT ?", last)
        result = self.store.fact("intent_to_receive")
        return {
            "unsent_events": self.store.number("SELECT COUNT(*) FROM events WHERE delivery IS NULL"),
            "waiting": self.store.number("SELECT COUNT(*) FROM deliveries WHERE state = 'waiting'"),
            "disabled": self.disabled,
            "intent_to_receive": json.loads(result) if result else None,
            "deliveries": [_delivery(dict(row)) for row in rows],
        }


def _delivery(row: dict[str, Any]) -> dict[str, Any]:
    times = {name: from_ms(row[name]).isoformat() if row[name] else None for name in ("created", "next", "answered")}
    return {**row, **times, "body": json.loads(row["body"])}
