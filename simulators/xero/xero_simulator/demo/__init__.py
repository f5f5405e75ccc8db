"""Invented books, computed from a seed and an anchor day: the same input gives the same documents, ids and times."""
