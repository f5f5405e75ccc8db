"""Reads Xero, for people and for keeping snapshots true; never writes to it."""
