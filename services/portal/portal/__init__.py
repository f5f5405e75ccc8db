"""Client identities, sign-in links and codes, client sessions."""
