"""One module for each vendor: how its files are recognised, and which values they hold."""
