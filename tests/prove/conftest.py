"""Proofs run on the whole product, like the end-to-end tests, with the full counts."""

from tests.e2e.conftest import chromium as chromium
from tests.e2e.conftest import system as system
