"""One frame's way from the directory to the ledger, and the loop that chooses the next one."""
