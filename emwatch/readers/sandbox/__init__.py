"""Frames are read in a limited child process, so that no file can harm the daemon."""
