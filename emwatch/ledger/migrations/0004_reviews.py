"""What people say of frames, and the same in the view of the log."""

from __future__ import annotations

STATEMENTS = (
    """\
CREATE TABLE reviews (
    id INTEGER NOT NULL,
    frame_id INTEGER NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('confirm', 'relabel', 'reject', 'unsure')),
    category TEXT,
    reviewed_by TEXT NOT NULL,
    reviewed_at TEXT NOT NULL,
    note TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (frame_id, reviewed_at, reviewed_by),
    CHECK ((category IS NOT NULL) = (verdict IN ('confirm', 'relabel'))),
    FOREIGN KEY(frame_id) REFERENCES frames (id)
)
""",
    "DROP VIEW v_log",
    """\
CREATE VIEW v_log AS
SELECT f.id, f.path, f.state, f.code, f.reason, f.recorded_at, f.file_modified_at, s.name AS session,
       p.category, p.probability, p.uncertain, m.magnification, m.stage_tilt_deg, m.working_distance_mm,
       m.accelerating_voltage_kv, m.pixel_size_nm, m.detector, m.vendor, m.acquired_at,
       (SELECT group_concat(target, ', ') FROM matches WHERE frame_id = f.id) AS targets,
       f.duplicate_of, f.sha256, p.bundle_sha256,
       (SELECT coalesce(category, verdict) FROM reviews WHERE frame_id = f.id
        ORDER BY reviewed_at DESC, id DESC LIMIT 1) AS reviewed
FROM frames AS f
LEFT JOIN predictions AS p ON p.frame_id = f.id AND p.newest = 1
LEFT JOIN metadata AS m ON m.frame_id = f.id
LEFT JOIN sessions AS s ON s.id = f.session_id
WHERE f.superseded_by IS NULL
""",
)
