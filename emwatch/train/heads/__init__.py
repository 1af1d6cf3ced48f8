"""Trains heads on embeddings; NumPy only."""
