"""What commands print: tables, the live view, progress."""
