"""What the alert policy keeps: which alerts were held and told together, who snoozed what, what nobody acknowledged."""

from __future__ import annotations

STATEMENTS = (
    "ALTER TABLE alerts ADD COLUMN held TEXT DEFAULT '' NOT NULL",
    "ALTER TABLE alerts ADD COLUMN digest TEXT DEFAULT '' NOT NULL",
    "ALTER TABLE alerts ADD COLUMN escalate_at TEXT",
    "ALTER TABLE alerts ADD COLUMN escalation BOOLEAN DEFAULT '0' NOT NULL",
    "ALTER TABLE alerts ADD COLUMN acknowledged_at TEXT",
    "CREATE INDEX ix_alerts_delivered ON alerts (channel, delivered_at) WHERE state = 'delivered'",
    "CREATE INDEX ix_alerts_digest ON alerts (digest) WHERE digest <> ''",
    "CREATE INDEX ix_alerts_escalate_at ON alerts (escalate_at) WHERE escalate_at IS NOT NULL",
    """\
CREATE TABLE snoozes (
	target TEXT NOT NULL,
	until TEXT NOT NULL,
	PRIMARY KEY (target)
)
""",
)
