"""Every page for providers and clients; stores nothing."""
