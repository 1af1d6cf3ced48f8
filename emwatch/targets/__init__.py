"""What the operator is looking for, and whether a frame is it."""
