"""Documents of a BSON stream, as mongodump writes it: each begins with its own length. Without the driver, so that commands start fast."""

from __future__ import annotations

LENGTH_BYTES = 4
SMALLEST, LARGEST = 5, 16 * 1024 * 1024 + 16 * 1024
"""Bytes of a document; MongoDB's largest with what it may add itself. Source: bsonspec.org; MongoDB limits, "BSON documents"."""


class NoBson(ValueError):
    """The bytes are no documents."""


class Cutter:
    """Cuts bytes that arrive in any pieces into documents."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def cut(self, piece: bytes) -> list[bytes]:
        """The documents that are complete with this piece. Raises NoBson."""
        self._rest += piece
        found, start = [], 0
        while len(self._rest) - start >= LENGTH_BYTES:
            length = int.from_bytes(self._rest[start : start + LENGTH_BYTES], "little")
            if not SMALLEST <= length <= LARGEST:
                raise NoBson(f"a document of {length} bytes")
            if len(self._rest) - start < length:
                break
            found.append(bytes(self._rest[start : start + length]))
            start += length
        del self._rest[:start]
        return found

    def end(self) -> None:
        """Raises NoBson when a document is not complete."""
        if self._rest:
            raise NoBson("the last document is not complete")
