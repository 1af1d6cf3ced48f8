"""
Two tables that answer questions about millions of frames at once.

``log_search`` repeats the numbers that frames are asked for, ordered by time: the newest 50 of any filter are found by
walking it, or by one of its indexes, without touching the wide rows. ``log_text`` is the full-text index. Triggers keep
both, so that every writer does, also one that repairs, merges or prunes.

A new frame is put into ``log_search`` at once, but into the indexes and the text only with others (``is_indexed``): one
by one, a fifth of a recording went there. A ledger that has earlier forms of the two loses them.
"""

# ruff: noqa: S608, ISC004 - the names are our own, and statements are long

from __future__ import annotations

from typing import Final

#: So many new frames are indexed together.
BATCH: Final = 64
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
TEXTS: Final = ("path", "notes", "operator", "instrument", "detector", "sample", "other")
TEXTS_OF_METADATA: Final = "operator, instrument, detector, sample, vendor, software, serial"

CREATE_SEARCH: Final = """\
CREATE TABLE log_search (
    at_us INTEGER NOT NULL,
    frame_id INTEGER NOT NULL,
    state TEXT NOT NULL,
    is_current BOOLEAN NOT NULL,
    is_copy BOOLEAN NOT NULL,
    is_indexed BOOLEAN NOT NULL,
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
#: ``recorded_at`` as microseconds since 1970: eight bytes instead of 33 in the table and in each index.
AT: Final = (
    "CAST(strftime('%s', substr({0}.recorded_at, 1, 19)) AS INTEGER) * 1000000"
    " + CAST(substr({0}.recorded_at, 21, 6) AS INTEGER)"
)
STANDING: Final = "state, is_current, is_copy, session_id"
STANDING_OF: Final = "{0}.state, {0}.superseded_by IS NULL, {0}.duplicate_of IS NOT NULL, {0}.session_id"
#: A frame's words, in the order of `TEXTS`.
CREATE_WORDS: Final = """\
CREATE VIEW log_words AS
SELECT f.id AS frame_id, f.path,
       (SELECT group_concat(text, char(10)) FROM notes
        WHERE frame_id = f.id AND replaced_by IS NULL AND text <> '') AS notes,
       m.operator, trim(f.instrument_id || ' ' || coalesce(m.instrument, '')) AS instrument, m.detector, m.sample,
       trim(coalesce(m.vendor, '') || ' ' || coalesce(m.software, '') || ' ' || coalesce(m.serial, '')) AS other
FROM frames AS f
LEFT JOIN metadata AS m ON m.frame_id = f.id
"""
PUT_TEXT: Final = f"INSERT OR REPLACE INTO log_text (rowid, {', '.join(TEXTS)}) SELECT w.* FROM "
TEXT_OF_INDEXED: Final = (
    f"{PUT_TEXT}log_search AS s CROSS JOIN log_words AS w ON w.frame_id = s.frame_id"
    " WHERE s.frame_id = new.frame_id AND s.is_indexed"
)

EARLIER: Final = (
    *(
        f"DROP TRIGGER IF EXISTS tr_{name}"
        for name in (
            *("frames_insert", "frames_update", "frames_delete", "frames_words", "predictions_insert"),
            *("predictions_update", "metadata_insert", "metadata_update"),
        )
    ),
    "DROP TABLE IF EXISTS log_search",
    "DROP TABLE IF EXISTS log_text",
)


def filling() -> list[str]:
    """Return what makes the tables, with their indexes, of what is recorded."""
    values = ", ".join((*(f"p.{name}" for name in OF_PREDICTIONS), *(f"m.{name}" for name in OF_METADATA)))
    return [
        CREATE_SEARCH,
        f"INSERT INTO log_search (at_us, frame_id, is_indexed, {STANDING}, {', '.join((*OF_PREDICTIONS, *OF_METADATA))})"
        f" SELECT {AT.format('f')}, f.id, 1, {STANDING_OF.format('f')}, {values}"
        " FROM frames AS f LEFT JOIN predictions AS p ON p.frame_id = f.id AND p.newest = 1"
        " LEFT JOIN metadata AS m ON m.frame_id = f.id ORDER BY f.recorded_at, f.id",
        "CREATE INDEX ix_log_search_frame_id ON log_search (frame_id)",
        "CREATE INDEX ix_log_search_new ON log_search (frame_id) WHERE is_indexed = 0",
        "CREATE INDEX ix_log_search_state ON log_search (state) WHERE state <> 'recorded'",
        # SQLite asks again for ``is_indexed``: in the index, it need not look into the table for it.
        *(
            f"CREATE INDEX ix_log_search_{name} ON log_search ({name}, is_indexed)"
            f" WHERE is_indexed = 1 AND {name} IS NOT NULL"
            for name in INDEXED
        ),
        f"CREATE VIRTUAL TABLE log_text USING fts5({', '.join(TEXTS)})",
        CREATE_WORDS,
        f"{PUT_TEXT}frames AS f CROSS JOIN log_words AS w ON w.frame_id = f.id WHERE f.state <> 'baseline' ORDER BY f.id",
    ]


def keeping() -> list[str]:
    """Return the triggers."""
    changes = {
        "metadata": ", ".join(f"{name} = new.{name}" for name in OF_METADATA),
        "predictions": ", ".join(f"{name} = new.{name}" for name in OF_PREDICTIONS),
    }
    same_time = "new.id = old.id AND new.recorded_at = old.recorded_at"
    # What was there before the first start has no words until it is read.
    indexed_still = "is_indexed AND (old.state <> 'baseline' OR new.state = 'baseline')"
    found = [
        f"CREATE TRIGGER tr_frames_insert AFTER INSERT ON frames BEGIN"
        f" INSERT INTO log_search (at_us, frame_id, is_indexed, {STANDING})"
        f" VALUES ({AT.format('new')}, new.id, new.state = 'baseline', {STANDING_OF.format('new')}); END",
        f"CREATE TRIGGER tr_frames_batch AFTER INSERT ON frames WHEN new.id % {BATCH} = 0 BEGIN"
        f" {PUT_TEXT}log_search AS s CROSS JOIN log_words AS w ON w.frame_id = s.frame_id"
        # This frame has no metadata yet: it goes with the next ones.
        " WHERE s.is_indexed = 0 AND s.frame_id <> new.id;"
        " UPDATE log_search SET is_indexed = 1 WHERE is_indexed = 0 AND frame_id <> new.id; END",
        f"CREATE TRIGGER tr_frames_update AFTER UPDATE OF state, superseded_by, duplicate_of, session_id ON frames"
        f" WHEN {same_time} BEGIN"
        f" UPDATE log_search SET ({STANDING}, is_indexed) = ({STANDING_OF.format('new')}, {indexed_still})"
        " WHERE frame_id = new.id; END",
        f"CREATE TRIGGER tr_frames_move AFTER UPDATE OF id, recorded_at ON frames WHEN NOT ({same_time}) BEGIN"
        f" UPDATE log_search SET (at_us, frame_id, {STANDING}, is_indexed) = ({AT.format('new')}, new.id,"
        f" {STANDING_OF.format('new')}, {indexed_still}) WHERE frame_id = old.id; END",
        "CREATE TRIGGER tr_frames_delete AFTER DELETE ON frames BEGIN"
        " DELETE FROM log_search WHERE frame_id = old.id; DELETE FROM log_text WHERE rowid = old.id; END",
        "CREATE TRIGGER tr_metadata_words AFTER UPDATE OF"
        f" {TEXTS_OF_METADATA} ON metadata BEGIN {TEXT_OF_INDEXED}; END",
        "CREATE TRIGGER tr_metadata_insert AFTER INSERT ON metadata BEGIN"
        f" UPDATE log_search SET {changes['metadata']} WHERE frame_id = new.frame_id;"
        f" {TEXT_OF_INDEXED}; END",
        f"CREATE TRIGGER tr_metadata_update AFTER UPDATE OF {', '.join(OF_METADATA)} ON metadata BEGIN"
        f" UPDATE log_search SET {changes['metadata']} WHERE frame_id = new.frame_id; END",
    ]
    found += [
        f"CREATE TRIGGER tr_predictions_{what.lower()} AFTER {what} ON predictions WHEN new.newest BEGIN"
        f" UPDATE log_search SET {changes['predictions']} WHERE frame_id = new.frame_id; END"
        for what in ("INSERT", "UPDATE")
    ]
    return found


STATEMENTS: Final = (*EARLIER, *filling(), *keeping())
