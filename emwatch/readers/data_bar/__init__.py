"""The strip burned into the picture: its position and its text."""
