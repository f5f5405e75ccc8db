"""A stand-in for Xero: sign-in, connections, the accounting API and webhooks, with invented books that can be changed."""
