"""Judges a model on labelled frames, by source."""
