"""The session log: one SQLite file, one writer, any number of read-only readers."""
