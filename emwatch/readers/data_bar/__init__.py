"""The strip burned into the picture: where it is, and what it says."""
