"""One server for the ledgers of many microscopes: each is handed over to it, and all of them are read there."""
