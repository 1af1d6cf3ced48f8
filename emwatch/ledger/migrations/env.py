"""Run by Alembic with the connection and transaction that `emwatch.ledger.care.upgrade` has opened."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
