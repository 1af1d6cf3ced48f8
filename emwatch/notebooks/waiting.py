"""Entries that wait for a notebook that was away: a small file beside the ledger, which holds no token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from emwatch.whole_file import written_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class WaitingPost(NamedTuple):
    """A session that is to be posted: its report is made when the notebook answers."""

    notebook: str
    url: str
    session_id: int


class WaitingPosts:
    """The posts that wait; each of them once."""

    def __init__(self, ledger: Path) -> None:
        self.path = ledger.with_name(f"{ledger.name}.notebook.json")

    def all(self) -> list[WaitingPost]:
        """Return them in the order in which they were asked for; a damaged file counts as empty."""
        try:
            return [WaitingPost(*each) for each in json.loads(self.path.read_text("utf-8"))]
        except (OSError, ValueError, TypeError):
            return []

    def add(self, post: WaitingPost) -> None:
        """Let a post wait."""
        self._write(dict.fromkeys([*self.all(), post]))

    def remove(self, post: WaitingPost) -> None:
        """Forget a post that was made."""
        if post in self.all():
            self._write(each for each in self.all() if each != post)

    def _write(self, posts: Iterable[WaitingPost]) -> None:
        with written_whole(self.path) as made:
            made.write_text(json.dumps(list(posts)), "utf-8")
