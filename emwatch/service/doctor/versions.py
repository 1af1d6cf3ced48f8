"""The versions that run: Python, SQLite, and the packages that emwatch needs."""

from __future__ import annotations

import platform
import re
import sqlite3
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Final

from emwatch import __version__
from emwatch.service.doctor.finding import Checked, Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.config import Config
    from emwatch.service.doctor.finding import Machine

_LEAST: Final = re.compile(r"^([A-Za-z0-9._-]+)\s*>=\s*([0-9.]+)")


def check(_config: Config, _machine: Machine) -> Iterator[Checked]:
    """Check that every package is there and not older than the one that emwatch was tested with."""
    findings = tuple(_packages(requires("emwatch") or []))
    yield Checked(
        "versions",
        f"emwatch {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        findings,
    )


def _packages(required: list[str]) -> Iterator[Finding]:
    for each in required:
        found = _LEAST.match(each)
        if found is None or ";" in each:  # of an extra
            continue
        name, least = found.groups()
        try:
            present = version(name)
        except PackageNotFoundError:
            present = ""
        if not present or _numbers(present) < _numbers(least):
            yield Finding(
                "versions",
                Level.ERROR,
                f"{name} {present or 'is not installed'}",
                f"{name} {least} or later",
                f"pip install '{name}>={least}'",
            )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.match(r"[\d.]*", text)[0].split(".") if each)  # type: ignore[index]  # matches always
