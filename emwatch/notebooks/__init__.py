"""Entries in the electronic notebooks that laboratories keep; one module for each kind of notebook."""
