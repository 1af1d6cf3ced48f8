"""
The local page: what the operator leaves open on the second screen. The only part that knows Flask and waitress.

It runs in a process of its own and only reads the ledger; what it changes goes through the folder in which the daemon
finds reviews. It asks no other server for anything.
"""
