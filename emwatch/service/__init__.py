"""The daemon: threads, lock, status. It starts and stops the parts; `emwatch.ingest` decides about frames."""
