"""Mechanism shared by every service: HTTP, Mongo, RabbitMQ, identity, settings. No product nouns outside contracts/."""
