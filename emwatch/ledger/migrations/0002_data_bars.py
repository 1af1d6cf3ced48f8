"""
When a frame's data bar was tried, and which frames still wait for it.

Frames of before wait as well: what their bars show is as worth knowing as that of new ones.
"""

from __future__ import annotations

STATEMENTS = (
    "ALTER TABLE metadata ADD COLUMN bar_read_at TEXT",
    """\
CREATE INDEX ix_metadata_bar_unread ON metadata (frame_id) WHERE bar_read_at IS NULL AND (magnification IS NULL OR pixel_size_nm IS NULL OR accelerating_voltage_kv IS NULL)
""",
)
