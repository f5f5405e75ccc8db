"""Runs the whole product on one machine without containers, and sets that machine up."""
