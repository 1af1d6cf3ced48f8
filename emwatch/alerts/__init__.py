"""Alerts: one module per kind of channel, and the outbox that delivers each alert at least once."""
