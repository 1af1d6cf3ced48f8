"""Telling the operator: one module per kind of channel, and the outbox that delivers at least once."""
