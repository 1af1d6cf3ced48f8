from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emwatch.config.schema import Config, LedgerConfig
from emwatch.errors import ConfigError
from emwatch.service.roots import archive_roots

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="archive")
def _archive(tmp_path: Path) -> Path:
    archive = tmp_path / "archive"
    (archive / "2019").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(archive)
    return archive


def test_a_file_of_an_archive_is_found_under_one_path(archive: Path) -> None:
    config = Config(ledger=LedgerConfig(path=archive.parent / "ledger.sqlite3"))
    link, other = archive.parent / "link", archive.parent / "other"
    for named, expected in (
        ([archive, archive], [archive]),
        ([archive / "2019", archive], [archive]),
        ([archive, archive / "2019" / ".."], [archive]),
        ([archive / "2019" / ".."], [archive]),
        ([archive, link, other], [archive, other]),
        ([link / "2019", archive], [archive]),
        ([link], [link]),
    ):
        assert archive_roots(config, named) == expected, named


@pytest.mark.parametrize("by", ["archive", "link", "archive/2019/.."])
def test_the_ledger_of_a_scan_is_not_put_into_the_archive(archive: Path, by: str) -> None:
    config = Config(ledger=LedgerConfig(path=archive / "ledger.sqlite3"))
    with pytest.raises(ConfigError, match="lies in the archive"):
        archive_roots(config, [archive.parent / by])
