"""Frames as pictures for people: scaled, stretched, with a true scale bar; decoded in a limited child process."""
