"""
When a snooze was given: only with it a wrong clock can be told from a long snooze.

Unknown for the snoozes of before.
"""

from __future__ import annotations

STATEMENTS = ("ALTER TABLE snoozes ADD COLUMN given_at TEXT",)
