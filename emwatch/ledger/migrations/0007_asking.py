"""
Notes and sessions that people write, and every column that people ask for in the views.

The indexes dropped here give way to the table of what frames are asked for, which a later migration makes.
"""

from __future__ import annotations

from typing import Final

PEOPLE: Final = (
    """\
CREATE TABLE notes (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    frame_id INTEGER,
    session_id INTEGER,
    text TEXT NOT NULL,
    written_by TEXT NOT NULL,
    written_at TEXT NOT NULL,
    CHECK ((frame_id IS NULL) <> (session_id IS NULL)),
    FOREIGN KEY(frame_id) REFERENCES frames (id),
    FOREIGN KEY(session_id) REFERENCES sessions (id)
)
""",
    "CREATE INDEX ix_notes_frame_id ON notes (frame_id) WHERE frame_id IS NOT NULL",
    "CREATE INDEX ix_notes_session_id ON notes (session_id) WHERE session_id IS NOT NULL",
    "ALTER TABLE sessions ADD COLUMN opened_by TEXT DEFAULT 'gap' NOT NULL",
    "ALTER TABLE sessions ADD COLUMN is_open BOOLEAN DEFAULT '0' NOT NULL",
    "ALTER TABLE sessions ADD COLUMN folder TEXT",
    "ALTER TABLE sessions ADD COLUMN operator TEXT",
    "ALTER TABLE sessions ADD COLUMN instrument TEXT",
    "ALTER TABLE sessions ADD COLUMN sample TEXT",
    "CREATE INDEX ix_sessions_folder ON sessions (folder) WHERE folder IS NOT NULL",
    "CREATE INDEX ix_sessions_open ON sessions (started_at) WHERE is_open = 1",
)
REPLACED: Final = (
    "DROP INDEX ix_metadata_magnification",
    "DROP INDEX ix_metadata_stage_tilt_deg",
    "DROP INDEX ix_predictions_category",
    "DROP INDEX ix_predictions_probability",
    "DROP INDEX ix_frames_session_id",
    "CREATE INDEX ix_frames_session_id ON frames (session_id) WHERE session_id IS NOT NULL",
)
VIEWS: Final = (
    "DROP VIEW v_log",
    "DROP VIEW v_hits",
    """\
CREATE VIEW v_log AS
SELECT f.id, f.path, f.sha256, f.state, f.code, f.reason, f.recorded_at, f.file_modified_at, f.size_bytes, f.attempts,
       f.duplicate_of, f.supersedes, f.superseded_by, s.name AS session,
       p.category, p.probability, p.uncertain, p.margin, p.novelty, p.scores, p.bundle_sha256,
       m.vendor, m.magnification, m.stage_tilt_deg, m.working_distance_mm, m.accelerating_voltage_kv, m.pixel_size_nm,
       m.horizontal_field_width_um, m.stage_x_mm, m.stage_y_mm, m.stage_z_mm, m.detector, m.acquired_at,
       coalesce(nullif(f.instrument_id, ''), m.instrument, s.instrument) AS instrument,
       coalesce(m.operator, s.operator) AS operator, coalesce(m.sample, s.sample) AS sample,
       (SELECT group_concat(target, ', ') FROM matches WHERE frame_id = f.id) AS targets,
       (SELECT min(delivered_at) FROM alerts WHERE frame_id = f.id AND state = 'delivered') AS alerted_at,
       (SELECT coalesce(category, verdict) FROM reviews WHERE frame_id = f.id
        ORDER BY reviewed_at DESC, id DESC LIMIT 1) AS reviewed,
       (SELECT group_concat(text, char(10)) FROM notes WHERE frame_id = f.id) AS notes
FROM frames AS f
LEFT JOIN predictions AS p ON p.frame_id = f.id AND p.newest = 1
LEFT JOIN metadata AS m ON m.frame_id = f.id
LEFT JOIN sessions AS s ON s.id = f.session_id
WHERE f.superseded_by IS NULL
""",
    """\
CREATE VIEW v_hits AS
SELECT h.target, h.reason, h.made_at, f.id AS frame_id, f.path, f.recorded_at, s.name AS session,
       p.category, p.probability, p.uncertain, m.magnification, m.stage_tilt_deg, m.horizontal_field_width_um,
       m.pixel_size_nm, m.stage_x_mm, m.stage_y_mm, m.stage_z_mm, f.duplicate_of, f.superseded_by,
       (SELECT coalesce(category, verdict) FROM reviews WHERE frame_id = f.id
        ORDER BY reviewed_at DESC, id DESC LIMIT 1) AS reviewed,
       (SELECT group_concat(channel || ' ' || state, ', ') FROM alerts
        WHERE frame_id = h.frame_id AND target = h.target) AS alerts,
       (SELECT min(created_at) FROM alerts WHERE frame_id = h.frame_id AND target = h.target) AS queued_at,
       (SELECT min(delivered_at) FROM alerts WHERE frame_id = h.frame_id AND target = h.target) AS alerted_at
FROM matches AS h
JOIN frames AS f ON f.id = h.frame_id
LEFT JOIN predictions AS p ON p.frame_id = f.id AND p.newest = 1
LEFT JOIN metadata AS m ON m.frame_id = f.id
LEFT JOIN sessions AS s ON s.id = f.session_id
""",
)


STATEMENTS: Final = (*PEOPLE, *REPLACED, *VIEWS)
