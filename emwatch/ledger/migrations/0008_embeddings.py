"""What each frame looks like to the network, kept compactly: to find frames that look alike, and to learn targets."""

from __future__ import annotations

STATEMENTS = (
    """\
CREATE TABLE embedding_spaces (
	sha256 TEXT NOT NULL,
	backbone_sha256 TEXT NOT NULL,
	projection_sha256 TEXT NOT NULL,
	width INTEGER NOT NULL,
	PRIMARY KEY (sha256)
)
""",
    """\
CREATE TABLE embeddings (
	id INTEGER NOT NULL,
	frame_id INTEGER NOT NULL,
	space_sha256 TEXT NOT NULL,
	vector BLOB NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (frame_id, space_sha256),
	FOREIGN KEY(frame_id) REFERENCES frames (id),
	FOREIGN KEY(space_sha256) REFERENCES embedding_spaces (sha256)
)
""",
)
