"""emwatch: a microscope-side watch-folder daemon for scanning electron microscopes."""

__version__ = "0.1.0"
