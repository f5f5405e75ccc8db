"""The simulator's one SQLite file: schema, transactions and small remembered facts."""

import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TABLES = {
    "facts": "key TEXT PRIMARY KEY, value TEXT NOT NULL",
    "organisations": """
        id TEXT PRIMARY KEY, key TEXT UNIQUE NOT NULL, short_code TEXT UNIQUE NOT NULL, place INTEGER NOT NULL, doc TEXT NOT NULL""",
    "logins": "id TEXT PRIMARY KEY, key TEXT UNIQUE NOT NULL, place INTEGER NOT NULL, doc TEXT NOT NULL",
    "roles": """
        login TEXT NOT NULL, organisation TEXT NOT NULL, place INTEGER NOT NULL, live INTEGER NOT NULL,
        PRIMARY KEY (login, organisation)""",
    "contacts": """
        id TEXT PRIMARY KEY, organisation TEXT NOT NULL, number TEXT, name TEXT NOT NULL, first_name TEXT, last_name TEXT, email TEXT,
        status TEXT NOT NULL, is_customer INTEGER NOT NULL, is_supplier INTEGER NOT NULL,
        search TEXT NOT NULL, updated INTEGER NOT NULL, doc TEXT NOT NULL""",
    "invoices": """
        id TEXT PRIMARY KEY, organisation TEXT NOT NULL, contact TEXT NOT NULL, type TEXT NOT NULL, status TEXT NOT NULL,
        number TEXT, reference TEXT, date TEXT NOT NULL, due TEXT, currency TEXT NOT NULL,
        total INTEGER NOT NULL, due_amount INTEGER NOT NULL, paid_amount INTEGER NOT NULL, credited_amount INTEGER NOT NULL,
        search TEXT NOT NULL, updated INTEGER NOT NULL, doc TEXT NOT NULL""",
    "credits": """
        id TEXT PRIMARY KEY, organisation TEXT NOT NULL, contact TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL,
        number TEXT, reference TEXT, date TEXT NOT NULL, currency TEXT NOT NULL,
        total INTEGER NOT NULL, remaining INTEGER NOT NULL, updated INTEGER NOT NULL, doc TEXT NOT NULL""",
    "payments": """
        id TEXT PRIMARY KEY, organisation TEXT NOT NULL, invoice TEXT NOT NULL, type TEXT NOT NULL, status TEXT NOT NULL,
        reference TEXT, date TEXT NOT NULL, amount INTEGER NOT NULL, updated INTEGER NOT NULL, doc TEXT NOT NULL""",
    "consents": "login TEXT PRIMARY KEY, scopes TEXT NOT NULL",
    "connections": """
        id TEXT PRIMARY KEY, login TEXT NOT NULL, organisation TEXT NOT NULL, auth_event TEXT NOT NULL, live INTEGER NOT NULL,
        created INTEGER NOT NULL, updated INTEGER NOT NULL, UNIQUE (login, organisation)""",
    "codes": """
        hash TEXT PRIMARY KEY, login TEXT NOT NULL, redirect_uri TEXT NOT NULL, scopes TEXT NOT NULL, nonce TEXT,
        challenge TEXT, challenge_method TEXT, auth_event TEXT NOT NULL, session TEXT NOT NULL,
        auth_time INTEGER NOT NULL, expires INTEGER NOT NULL""",
    "refresh_tokens": """
        hash TEXT PRIMARY KEY, login TEXT NOT NULL, scopes TEXT NOT NULL, auth_event TEXT NOT NULL, session TEXT NOT NULL,
        auth_time INTEGER NOT NULL, expires INTEGER NOT NULL, rotated INTEGER""",
    "access_tokens": "jti TEXT PRIMARY KEY, expires INTEGER NOT NULL",
    "events": "sequence INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, delivery INTEGER",
    "deliveries": """
        id INTEGER PRIMARY KEY AUTOINCREMENT, first INTEGER NOT NULL, last INTEGER NOT NULL, events INTEGER NOT NULL, body TEXT NOT NULL,
        state TEXT NOT NULL, attempts INTEGER NOT NULL, created INTEGER NOT NULL, next INTEGER NOT NULL,
        answered INTEGER, answer TEXT""",
}
INDEXES = [
    "contacts(organisation, number)",
    "contacts(organisation, name)",
    "contacts(organisation, search)",
    "invoices(organisation, contact, id, status)",
    "invoices(organisation, number)",
    "invoices(organisation, updated, id, status)",
    "invoices(organisation, id, status)",
    "invoices(organisation, search)",
    "invoices(contact, status, type, due, due_amount)",
    "credits(organisation, contact)",
    "payments(organisation, invoice)",
    "payments(invoice)",
    "events(delivery)",
    "deliveries(state, next)",
]


def fold(text: str | None) -> str | None:
    """Text for comparison without regard to case and accents; None stays None."""
    if text is None:
        return None
    if text.isascii():
        return text.lower()
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()


class Store:
    """One connection, used from one thread; every write is committed before its transaction block ends."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / "simulator.sqlite3", isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA cache_size=-65536")  # KiB; what 100,000 new invoices dirty stays in memory
        self._create_missing()

    def _create_missing(self) -> None:
        for table, columns in TABLES.items():
            self._db.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
        for index in INDEXES:
            name = "by_" + "".join(c if c.isalnum() else "_" for c in index).strip("_")
            self._db.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {index}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. A block inside another is undone alone when it fails, and kept only with the outer one."""
        inside = self._db.in_transaction
        self._db.execute("SAVEPOINT block" if inside else "BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK TO block" if inside else "ROLLBACK")
            if inside:
                self._db.execute("RELEASE block")
            raise
        self._db.execute("RELEASE block" if inside else "COMMIT")

    def run(self, sql: str, *values: Any) -> int:
        """Runs one statement and answers how many rows it changed."""
        return self._db.execute(sql, values).rowcount

    def run_many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._db.executemany(sql, rows)

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
        return found

    def number(self, sql: str, *values: Any) -> int:
        """The single number a COUNT or SUM answers; 0 when there is none."""
        row = self.row(sql, *values)
        return int(row[0] or 0) if row else 0

    def fact(self, key: str) -> str | None:
        row = self.row("SELECT value FROM facts WHERE key = ?", key)
        return str(row["value"]) if row else None

    def remember(self, key: str, value: str) -> None:
        self.run("INSERT INTO facts VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)

    def empty(self, *tables: str) -> None:
        """Deletes every row of the named tables, or of all when none is named."""
        for table in tables or TABLES:
            self.run(f"DELETE FROM {table}")

    def close(self) -> None:
        self._db.close()
