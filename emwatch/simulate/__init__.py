"""A pretend microscope: draws SEM-like frames and writes them as instruments do, with a manifest of the truth."""
