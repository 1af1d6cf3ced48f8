"""What appears in the acquisition directory: events are hints, the sweep is the truth, settling tells when a file is whole."""
