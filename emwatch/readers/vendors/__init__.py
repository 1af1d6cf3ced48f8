"""One module for each maker's files: which are its own, and where its values stand."""
