"""Proofs with the full counts: `make prove`."""
