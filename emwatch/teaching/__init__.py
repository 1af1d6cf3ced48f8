"""Targets learned from frames that the operator shows, and the search of the past by what frames look like."""
