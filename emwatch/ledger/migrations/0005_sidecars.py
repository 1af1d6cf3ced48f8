"""
Which sidecar a frame's metadata were read from, whether it was whole, and every column of the log in its view.

Until now a cut sidecar was known by the words of its flag.
"""

from __future__ import annotations

STATEMENTS = (
    "ALTER TABLE metadata ADD COLUMN sidecar TEXT",
    "ALTER TABLE metadata ADD COLUMN sidecar_cut BOOLEAN DEFAULT '0' NOT NULL",
    "UPDATE metadata SET sidecar_cut = 1 WHERE instr(flags, 'breaks off, still being written or cut') > 0",
    "DROP VIEW v_log",
    """\
CREATE VIEW v_log AS
SELECT f.id, f.path, f.sha256, f.state, f.code, f.reason, f.recorded_at, f.file_modified_at, f.size_bytes, f.attempts,
       f.duplicate_of, f.supersedes, f.superseded_by, s.name AS session,
       p.category, p.probability, p.uncertain, p.margin, p.novelty, p.scores, p.bundle_sha256,
       m.vendor, m.magnification, m.stage_tilt_deg, m.working_distance_mm, m.accelerating_voltage_kv, m.pixel_size_nm,
       m.detector, m.acquired_at,
       (SELECT group_concat(target, ', ') FROM matches WHERE frame_id = f.id) AS targets,
       (SELECT coalesce(category, verdict) FROM reviews WHERE frame_id = f.id
        ORDER BY reviewed_at DESC, id DESC LIMIT 1) AS reviewed
FROM frames AS f
LEFT JOIN predictions AS p ON p.frame_id = f.id AND p.newest = 1
LEFT JOIN metadata AS m ON m.frame_id = f.id
LEFT JOIN sessions AS s ON s.id = f.session_id
WHERE f.superseded_by IS NULL
""",
)
