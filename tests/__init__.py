"""Tests and figures of the whole product."""
