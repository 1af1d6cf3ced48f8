"""The command line: the only part that knows click and rich."""
