"""The daemon: threads, lock, signals, health. It starts and stops things; what becomes of a frame is decided elsewhere."""
