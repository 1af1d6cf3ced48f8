"""
Notes that can be changed and taken back, sessions in the full-text index, and more in the views.

A changed note is a new row, and the old one names it; a note without text takes the old one back. ``log_text_sessions``
has one row for a session: what was said of it is found together with its frames. Triggers keep it, as the others.
"""

# ruff: noqa: S608, ISC004 - the names are our own, and statements are long

from __future__ import annotations

from typing import Final

STANDS: Final = "replaced_by IS NULL AND text <> ''"
NOTES: Final = (
    "ALTER TABLE notes ADD COLUMN replaced_by INTEGER REFERENCES notes (id)",
    "DROP INDEX ix_notes_frame_id",
    "DROP INDEX ix_notes_session_id",
    "CREATE UNIQUE INDEX ux_notes_frame ON notes (frame_id, written_at, written_by) WHERE frame_id IS NOT NULL",
    "CREATE UNIQUE INDEX ux_notes_session ON notes (session_id, written_at, written_by) WHERE session_id IS NOT NULL",
    "CREATE INDEX ix_notes_replaced_by ON notes (replaced_by) WHERE replaced_by IS NOT NULL",
)

_OF_FRAME: Final = f"(SELECT group_concat(text, char(10)) FROM notes WHERE frame_id = {{0}} AND {STANDS})"
_OF_SESSION: Final = f"(SELECT group_concat(text, char(10)) FROM notes WHERE session_id = {{0}} AND {STANDS})"
_ADD_SESSION: Final = (
    "INSERT INTO log_text_sessions (rowid, name, operator, instrument, sample, notes)"
    f" SELECT s.id, s.name, s.operator, s.instrument, s.sample, {_OF_SESSION.format('s.id')} FROM sessions AS s"
)
#: Not "INSERT OR REPLACE": within a trigger, the OR of the statement outside would hold.
_PUT_SESSION: Final = f"DELETE FROM log_text_sessions WHERE rowid = {{0}}; {_ADD_SESSION} WHERE s.id = {{0}};"
WORDS: Final = (
    "CREATE VIRTUAL TABLE log_text_sessions USING fts5(name, operator, instrument, sample, notes)",
    _ADD_SESSION,
    f"CREATE TRIGGER tr_sessions_insert AFTER INSERT ON sessions BEGIN {_PUT_SESSION.format('new.id')} END",
    "CREATE TRIGGER tr_sessions_update AFTER UPDATE OF name, operator, instrument, sample ON sessions BEGIN"
    f" {_PUT_SESSION.format('new.id')} END",
    "CREATE TRIGGER tr_sessions_delete AFTER DELETE ON sessions BEGIN"
    " DELETE FROM log_text_sessions WHERE rowid = old.id; END",
    "DROP TRIGGER IF EXISTS tr_notes_insert",
    *(
        f"CREATE TRIGGER tr_notes_{what.lower()} AFTER {what} ON notes BEGIN"
        f" UPDATE log_text SET notes = {_OF_FRAME.format(f'{row}.frame_id')} WHERE rowid = {row}.frame_id;"
        f" {_PUT_SESSION.format(f'{row}.session_id')} END"
        for what, row in (("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old"))
    ),
)
VIEWS: Final = (
    "DROP VIEW v_log",
    "DROP VIEW v_hits",
    f"""\
CREATE VIEW v_log AS
SELECT f.id, f.path, f.sha256, f.state, f.code, f.reason, f.recorded_at, f.file_modified_at, f.size_bytes, f.attempts,
       f.duplicate_of, f.supersedes, f.superseded_by, f.session_id, s.name AS session,
       p.category, p.probability, p.uncertain, p.margin, p.novelty, p.scores, p.bundle_sha256,
       m.vendor, m.magnification, m.stage_tilt_deg, m.working_distance_mm, m.accelerating_voltage_kv, m.pixel_size_nm,
       m.horizontal_field_width_um, m.stage_x_mm, m.stage_y_mm, m.stage_z_mm, m.stage_rotation_deg, m.scan_rotation_deg,
       m.tilt_correction, m.detector, m.acquired_at,
       coalesce(nullif(f.instrument_id, ''), m.instrument, s.instrument) AS instrument,
       coalesce(s.operator, m.operator) AS operator, coalesce(s.sample, m.sample) AS sample,
       (SELECT group_concat(target, ', ') FROM matches WHERE frame_id = f.id) AS targets,
       (SELECT min(delivered_at) FROM alerts WHERE frame_id = f.id AND state = 'delivered') AS alerted_at,
       (SELECT coalesce(category, verdict) FROM reviews WHERE frame_id = f.id
        ORDER BY reviewed_at DESC, id DESC LIMIT 1) AS reviewed,
       {_OF_FRAME.format("f.id")} AS notes
FROM frames AS f
LEFT JOIN predictions AS p ON p.frame_id = f.id AND p.newest = 1
LEFT JOIN metadata AS m ON m.frame_id = f.id
LEFT JOIN sessions AS s ON s.id = f.session_id
WHERE f.superseded_by IS NULL
""",
    f"""\
CREATE VIEW v_hits AS
SELECT h.target, h.reason, h.made_at, f.id AS frame_id, f.path, f.recorded_at, s.name AS session,
       p.category, p.probability, p.uncertain, m.magnification, m.stage_tilt_deg, m.horizontal_field_width_um,
       m.pixel_size_nm, m.stage_x_mm, m.stage_y_mm, m.stage_z_mm, m.stage_rotation_deg,
       coalesce(nullif(f.instrument_id, ''), m.instrument, s.instrument) AS instrument,
       coalesce(s.operator, m.operator) AS operator, coalesce(s.sample, m.sample) AS sample,
       f.duplicate_of, f.superseded_by,
       (SELECT coalesce(category, verdict) FROM reviews WHERE frame_id = f.id
        ORDER BY reviewed_at DESC, id DESC LIMIT 1) AS reviewed,
       {_OF_FRAME.format("f.id")} AS notes,
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
    f"""\
CREATE VIEW v_sessions AS
SELECT s.id, s.name, s.started_at, s.ended_at, s.opened_by, s.is_open, s.operator, s.instrument, s.sample, s.folder,
       (SELECT count(*) FROM frames WHERE session_id = s.id AND superseded_by IS NULL AND state = 'recorded') AS frames,
       (SELECT count(*) FROM frames AS f WHERE session_id = s.id AND superseded_by IS NULL AND state = 'recorded'
        AND EXISTS (SELECT 1 FROM matches WHERE frame_id = f.id)) AS hits,
       (SELECT count(*) FROM frames WHERE session_id = s.id AND superseded_by IS NULL AND state = 'failed') AS failed,
       {_OF_SESSION.format("s.id")} AS notes
FROM sessions AS s
""",
)


STATEMENTS: Final = (*NOTES, *WORDS, *VIEWS)
