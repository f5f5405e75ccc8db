"""Sharing: who may see whose invoices, what they see, and when that ends."""
