"""
Two tables that answer questions about millions of frames at once, and notes and sessions that people write.

``log_search`` repeats the numbers that frames are asked for, ordered by time: the newest 50 of any filter are found by
walking it, or one of its indexes, without touching the wide rows. ``log_text`` is the full-text index. Triggers keep
both, so that every writer does, also one that repairs, merges or prunes. The indexes that they replace are dropped.
"""

# ruff: noqa: S608, ISC004 - the names are our own, and statements are long

from __future__ import annotations

from typing import Final

from alembic import op

revision = "0007"
down_revision = "0006"

#: Column of ``log_search`` by table; each is indexed.
OF_METADATA: Final = (
    "magnification",
    "stage_tilt_deg",
    "working_distance_mm",
    "accelerating_voltage_kv",
    "pixel_size_nm",
    "horizontal_field_width_um",
    "stage_x_mm",
    "stage_y_mm",
)
OF_PREDICTIONS: Final = ("category", "probability", "margin", "novelty", "uncertain")
INDEXED: Final = (*OF_METADATA, "category", "probability", "margin", "novelty", "session_id")
WORDS: Final = ("operator", "instrument", "detector", "sample", "software", "vendor", "serial")

#: ``recorded_at`` as microseconds since 1970: eight bytes instead of 33 in the table and in each index.
AT: Final = (
    "CAST(strftime('%s', substr({0}.recorded_at, 1, 19)) AS INTEGER) * 1000000"
    " + CAST(substr({0}.recorded_at, 21, 6) AS INTEGER)"
)
CREATE_SEARCH: Final = """\
CREATE TABLE log_search (
    at_us INTEGER NOT NULL,
    frame_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    is_current BOOLEAN NOT NULL,
    is_copy BOOLEAN NOT NULL,
    session_id INTEGER,
    category TEXT,
    probability REAL,
    uncertain BOOLEAN,
    margin REAL,
    novelty REAL,
    magnification REAL,
    stage_tilt_deg REAL,
    working_distance_mm REAL,
    accelerating_voltage_kv REAL,
    pixel_size_nm REAL,
    horizontal_field_width_um REAL,
    stage_x_mm REAL,
    stage_y_mm REAL,
    PRIMARY KEY (at_us, frame_id)
) WITHOUT ROWID
"""
OF_FRAME: Final = (
    "at_us = (SELECT " + AT.format("f") + " FROM frames AS f WHERE f.id = new.frame_id) AND frame_id = new.frame_id"
)


def search_statements() -> list[str]:
    """Return what fills the table of what is recorded, indexes it, and keeps it."""
    metadata = ", ".join(f"m.{name}" for name in OF_METADATA)
    prediction = ", ".join(f"p.{name}" for name in OF_PREDICTIONS)
    names = ", ".join((*OF_PREDICTIONS, *OF_METADATA))
    frame = "{at}, {0}.id, {0}.state, {0}.superseded_by IS NULL, {0}.duplicate_of IS NOT NULL, {0}.session_id"
    changes = {
        "metadata": ", ".join(f"{name} = new.{name}" for name in OF_METADATA),
        "predictions": ", ".join(f"{name} = new.{name}" for name in OF_PREDICTIONS),
    }
    columns = "at_us, frame_id, state, is_current, is_copy, session_id"
    found = [
        CREATE_SEARCH,
        f"INSERT INTO log_search ({columns}, {names}) SELECT {frame.format('f', at=AT.format('f'))}, {prediction}, {metadata}"
        " FROM frames AS f LEFT JOIN predictions AS p ON p.frame_id = f.id AND p.newest = 1"
        " LEFT JOIN metadata AS m ON m.frame_id = f.id ORDER BY f.recorded_at, f.id",
        "CREATE INDEX ix_log_search_frame_id ON log_search (frame_id)",
        "CREATE INDEX ix_log_search_state ON log_search (state) WHERE state <> 'recorded'",
    ]
    found += [f"CREATE INDEX ix_log_search_{name} ON log_search ({name}) WHERE {name} IS NOT NULL" for name in INDEXED]
    found += [
        f"CREATE TRIGGER tr_frames_insert AFTER INSERT ON frames BEGIN"
        f" INSERT INTO log_search ({columns}) VALUES ({frame.format('new', at=AT.format('new'))}); END",
        "CREATE TRIGGER tr_frames_update AFTER UPDATE OF"
        " id, state, recorded_at, superseded_by, duplicate_of, session_id ON frames BEGIN"
        f" UPDATE log_search SET ({columns}) = ({frame.format('new', at=AT.format('new'))})"
        f" WHERE at_us = {AT.format('old')} AND frame_id = old.id; END",
        "CREATE TRIGGER tr_frames_delete AFTER DELETE ON frames BEGIN"
        f" DELETE FROM log_search WHERE at_us = {AT.format('old')} AND frame_id = old.id;"
        " DELETE FROM log_text WHERE rowid = old.id; END",
        "CREATE TRIGGER tr_predictions_insert AFTER INSERT ON predictions WHEN new.newest BEGIN"
        f" UPDATE log_search SET {changes['predictions']} WHERE {OF_FRAME}; END",
        "CREATE TRIGGER tr_predictions_update AFTER UPDATE ON predictions WHEN new.newest BEGIN"
        f" UPDATE log_search SET {changes['predictions']} WHERE {OF_FRAME}; END",
    ]
    for what in ("INSERT", "UPDATE"):
        found.append(
            f"CREATE TRIGGER tr_metadata_{what.lower()} AFTER {what} ON metadata BEGIN"
            f" UPDATE log_search SET {changes['metadata']} WHERE {OF_FRAME};"
            f" INSERT OR REPLACE INTO log_text (rowid, {', '.join(TEXTS)}) {TEXT_OF.format('new.frame_id')}; END"
        )
    return found


TEXTS: Final = ("path", "notes", "operator", "instrument", "detector", "sample", "other")
_NOTES: Final = "(SELECT group_concat(text, char(10)) FROM notes WHERE frame_id = f.id)"
TEXT_OF: Final = (
    f"SELECT f.id, f.path, {_NOTES}, m.operator, trim(f.instrument_id || ' ' || coalesce(m.instrument, '')), m.detector,"
    " m.sample, trim(coalesce(m.vendor, '') || ' ' || coalesce(m.software, '') || ' ' || coalesce(m.serial, ''))"
    " FROM frames AS f LEFT JOIN metadata AS m ON m.frame_id = f.id WHERE f.id = {0}"
)
TEXT: Final = (
    f"CREATE VIRTUAL TABLE log_text USING fts5({', '.join(TEXTS)})",
    f"INSERT INTO log_text (rowid, {', '.join(TEXTS)}) {TEXT_OF.removesuffix(' WHERE f.id = {0}')} WHERE f.state <> 'baseline'",
    # A frame that was read gets its words with its metadata, which follow in the same transaction.
    "CREATE TRIGGER tr_frames_words AFTER INSERT ON frames WHEN new.state NOT IN ('recorded', 'baseline') BEGIN"
    " INSERT OR REPLACE INTO log_text (rowid, path) VALUES (new.id, new.path); END",
    "CREATE TRIGGER tr_notes_insert AFTER INSERT ON notes WHEN new.frame_id IS NOT NULL BEGIN"
    f" INSERT OR REPLACE INTO log_text (rowid, {', '.join(TEXTS)}) {TEXT_OF.format('new.frame_id')}; END",
)
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


def upgrade() -> None:
    """Add the tables, fill them, and add the triggers; make the views anew."""
    for statement in (*PEOPLE, *REPLACED, *search_statements(), *TEXT, *VIEWS):
        op.get_bind().exec_driver_sql(statement)
