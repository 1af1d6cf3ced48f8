"""Checks, backups, damage, merging, pruning and migrations of the ledger."""
