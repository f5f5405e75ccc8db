"""auth: who the providers are, and the keys to what they allow us to read in Xero."""
