"""Where mails are kept: one SQLite file, written before the mail server says yes."""

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from inbox_simulator.mails import Mail, read_mail

SCHEMA = """
CREATE TABLE IF NOT EXISTS mails (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    mail_from TEXT NOT NULL,
    rcpt_to TEXT NOT NULL,
    content BLOB NOT NULL
)
"""
COLUMNS = "id, at, mail_from, rcpt_to, content"


class Store:
    """All mails of one data folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / "mails.sqlite", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(SCHEMA)

    def add(self, mail_from: str, rcpt_to: list[str], content: bytes) -> int:
        """Keep a mail; it is on the disk when this returns. Gives its number."""
        values = (datetime.now(UTC).isoformat(), mail_from, json.dumps(rcpt_to), content)
        return self._db.execute("INSERT INTO mails (at, mail_from, rcpt_to, content) VALUES (?, ?, ?, ?)", values).lastrowid or 0

    def find(self, number: int) -> Mail | None:
        row = self._db.execute(f"SELECT {COLUMNS} FROM mails WHERE id = ?", (number,)).fetchone()
        return from_row(row) if row else None

    def list_mails(self, to: str = "", subject: str = "") -> list[Mail]:
        """Newest first. `to` is a whole address of the envelope, `subject` a part of the subject; letter case does not matter."""
        rows = self._db.execute(f"SELECT {COLUMNS} FROM mails ORDER BY id DESC").fetchall()
        wanted = to.strip().lower()
        mails = (from_row(row) for row in rows if not wanted or wanted in [address.lower() for address in json.loads(row[3])])
        return [mail for mail in mails if subject.lower() in mail.subject.lower()]

    def empty(self) -> None:
        """Forget every mail; numbers are not used again."""
        self._db.execute("DELETE FROM mails")

    def close(self) -> None:
        self._db.close()


def from_row(row: tuple[int, str, str, str, bytes]) -> Mail:
    number, at, mail_from, rcpt_to, content = row
    return read_mail(number, datetime.fromisoformat(at), mail_from, json.loads(rcpt_to), content)
