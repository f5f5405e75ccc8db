"""Figures, not assertions: `make bench` prints them."""
