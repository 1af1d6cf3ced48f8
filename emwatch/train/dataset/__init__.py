"""Labelled frames: reading, checking, dividing and fetching them."""
