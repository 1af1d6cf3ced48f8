"""
The first ledger.

Written out as SQL, never derived from the present tables: a migration describes what was, not what is.
"""

from __future__ import annotations

STATEMENTS = (
    "PRAGMA application_id = 1701672801",
    """\
CREATE TABLE bundles (
    sha256 TEXT NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    first_used_at TEXT NOT NULL,
    PRIMARY KEY (sha256)
)
""",
    """\
CREATE TABLE roots (
    path TEXT NOT NULL,
    baseline_at TEXT NOT NULL,
    PRIMARY KEY (path)
)
""",
    """\
CREATE TABLE sessions (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT NOT NULL
)
""",
    """\
CREATE INDEX ix_sessions_ended_at ON sessions (ended_at)
""",
    """\
CREATE INDEX ix_sessions_name ON sessions (name)
""",
    """\
CREATE TABLE frames (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL,
    sha256 TEXT DEFAULT '' NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('recorded', 'failed', 'skipped', 'baseline')),
    code TEXT DEFAULT '' NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    size_bytes INTEGER,
    stat_key TEXT,
    image_format TEXT,
    width INTEGER,
    height INTEGER,
    pixel_type TEXT,
    pages INTEGER,
    first_seen_at TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    file_modified_at TEXT,
    attempts INTEGER DEFAULT '1' NOT NULL,
    retry_at TEXT,
    supersedes INTEGER,
    superseded_by INTEGER,
    duplicate_of INTEGER,
    session_id INTEGER,
    instrument_id TEXT DEFAULT '' NOT NULL,
    UNIQUE (path, sha256),
    FOREIGN KEY(supersedes) REFERENCES frames (id),
    FOREIGN KEY(superseded_by) REFERENCES frames (id),
    FOREIGN KEY(duplicate_of) REFERENCES frames (id),
    FOREIGN KEY(session_id) REFERENCES sessions (id)
)
""",
    """\
CREATE INDEX ix_frames_duplicate_of ON frames (duplicate_of) WHERE duplicate_of IS NOT NULL
""",
    """\
CREATE INDEX ix_frames_file_modified_at ON frames (file_modified_at)
""",
    """\
CREATE INDEX ix_frames_recorded_at ON frames (recorded_at)
""",
    """\
CREATE INDEX ix_frames_session_id ON frames (session_id, recorded_at)
""",
    """\
CREATE INDEX ix_frames_sha256 ON frames (sha256) WHERE sha256 <> ''
""",
    """\
CREATE INDEX ix_frames_state ON frames (state, recorded_at) WHERE superseded_by IS NULL
""",
    """\
CREATE INDEX ix_frames_superseded_by ON frames (superseded_by) WHERE superseded_by IS NOT NULL
""",
    """\
CREATE INDEX ix_frames_supersedes ON frames (supersedes) WHERE supersedes IS NOT NULL
""",
    """\
CREATE UNIQUE INDEX ux_frames_current_path ON frames (path) WHERE superseded_by IS NULL
""",
    """\
CREATE TABLE alerts (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "key" TEXT NOT NULL,
    frame_id INTEGER NOT NULL,
    channel TEXT NOT NULL,
    target TEXT NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts INTEGER DEFAULT '0' NOT NULL,
    next_try_at TEXT NOT NULL,
    last_error TEXT DEFAULT '' NOT NULL,
    created_at TEXT NOT NULL,
    delivered_at TEXT,
    UNIQUE ("key"),
    FOREIGN KEY(frame_id) REFERENCES frames (id)
)
""",
    """\
CREATE INDEX ix_alerts_frame_id ON alerts (frame_id)
""",
    """\
CREATE INDEX ix_alerts_pending ON alerts (channel, id) WHERE state = 'pending'
""",
    """\
CREATE TABLE matches (
    id INTEGER NOT NULL,
    frame_id INTEGER NOT NULL,
    target TEXT NOT NULL,
    reason TEXT NOT NULL,
    made_at TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (frame_id, target),
    FOREIGN KEY(frame_id) REFERENCES frames (id)
)
""",
    """\
CREATE INDEX ix_matches_target ON matches (target, frame_id)
""",
    """\
CREATE TABLE metadata (
    frame_id INTEGER NOT NULL,
    vendor TEXT,
    magnification REAL,
    horizontal_field_width_um REAL,
    pixel_size_nm REAL,
    pixel_size_y_nm REAL,
    stage_tilt_deg REAL,
    stage_rotation_deg REAL,
    stage_x_mm REAL,
    stage_y_mm REAL,
    stage_z_mm REAL,
    working_distance_mm REAL,
    accelerating_voltage_kv REAL,
    beam_current_na REAL,
    beam TEXT,
    detector TEXT,
    dwell_time_us REAL,
    scan_rotation_deg REAL,
    tilt_correction BOOLEAN,
    tilt_correction_deg REAL,
    instrument TEXT,
    serial TEXT,
    software TEXT,
    operator TEXT,
    sample TEXT,
    acquired_at TEXT,
    data_bar_height_px REAL,
    flags TEXT NOT NULL,
    readings TEXT NOT NULL,
    PRIMARY KEY (frame_id),
    FOREIGN KEY(frame_id) REFERENCES frames (id)
)
""",
    """\
CREATE INDEX ix_metadata_magnification ON metadata (magnification) WHERE magnification IS NOT NULL
""",
    """\
CREATE INDEX ix_metadata_stage_tilt_deg ON metadata (stage_tilt_deg) WHERE stage_tilt_deg IS NOT NULL
""",
    """\
CREATE TABLE predictions (
    id INTEGER NOT NULL,
    frame_id INTEGER NOT NULL,
    bundle_sha256 TEXT NOT NULL,
    category TEXT NOT NULL,
    probability REAL NOT NULL,
    margin REAL NOT NULL,
    uncertain BOOLEAN NOT NULL,
    novelty REAL,
    scores TEXT NOT NULL,
    made_at TEXT NOT NULL,
    newest BOOLEAN DEFAULT '1' NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (frame_id, bundle_sha256),
    FOREIGN KEY(frame_id) REFERENCES frames (id),
    FOREIGN KEY(bundle_sha256) REFERENCES bundles (sha256)
)
""",
    """\
CREATE INDEX ix_predictions_category ON predictions (category, probability, uncertain, frame_id) WHERE newest = 1
""",
    """\
CREATE INDEX ix_predictions_probability ON predictions (probability, frame_id) WHERE newest = 1
""",
    """\
CREATE UNIQUE INDEX ux_predictions_newest ON predictions (frame_id) WHERE newest = 1
""",
    """\
CREATE VIEW v_log AS
SELECT f.id, f.path, f.state, f.code, f.reason, f.recorded_at, f.file_modified_at, s.name AS session,
       p.category, p.probability, p.uncertain, m.magnification, m.stage_tilt_deg, m.working_distance_mm,
       m.accelerating_voltage_kv, m.pixel_size_nm, m.detector, m.vendor, m.acquired_at,
       (SELECT group_concat(target, ', ') FROM matches WHERE frame_id = f.id) AS targets,
       f.duplicate_of, f.sha256, p.bundle_sha256
FROM frames AS f
LEFT JOIN predictions AS p ON p.frame_id = f.id AND p.newest = 1
LEFT JOIN metadata AS m ON m.frame_id = f.id
LEFT JOIN sessions AS s ON s.id = f.session_id
WHERE f.superseded_by IS NULL
""",
    """\
CREATE VIEW v_hits AS
SELECT h.target, h.reason, h.made_at, f.id AS frame_id, f.path, p.category, p.probability,
       m.magnification, m.stage_tilt_deg, f.duplicate_of, f.superseded_by,
       (SELECT group_concat(channel || ' ' || state, ', ') FROM alerts
        WHERE frame_id = h.frame_id AND target = h.target) AS alerts
FROM matches AS h
JOIN frames AS f ON f.id = h.frame_id
LEFT JOIN predictions AS p ON p.frame_id = f.id AND p.newest = 1
LEFT JOIN metadata AS m ON m.frame_id = f.id
""",
)
