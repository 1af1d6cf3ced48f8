"""Which damaged ledgers this one was begun instead of, and before when files raise no alert again."""

from __future__ import annotations

STATEMENTS = (
    """\
CREATE TABLE replacements (
    set_aside TEXT NOT NULL,
    quiet_before TEXT NOT NULL,
    noted_at TEXT NOT NULL,
    recovered_at TEXT,
    PRIMARY KEY (set_aside)
)
""",
)
