"""When a snooze was given: only with it a wrong clock can be told from a long snooze."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the column; it is unknown for the snoozes of before."""
    op.get_bind().exec_driver_sql("ALTER TABLE snoozes ADD COLUMN given_at TEXT")
