"""Data bars of frames named on the command line: read if they add values, or suggested once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from emwatch.cli.options import VERBOSITY
from emwatch.errors import ConfigError, FrameError
from emwatch.frame import AcquisitionMetadata

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from emwatch.frame import FrameReading
    from emwatch.readers.data_bar.sandbox import BarSandbox
    from emwatch.readers.sandbox.limits import Limits


class DataBars:
    """
    Adds to frames what their data bars show, within the limits of reading a frame.

    ``wanted``: ``True`` raises `ConfigError` if the ``ocr`` extra is not installed; ``False`` reads none; ``None`` reads
    them if it can, or with ``if_asked`` none, which `tell` says. Those of frames that lack a value are read, or with
    ``every`` all, to check what the file states.
    """

    def __init__(self, wanted: bool | None, limits: Limits, *, every: bool = False, if_asked: bool = False) -> None:
        self._wanted = wanted
        self._limits = limits
        self._every = every
        self._not_asked = wanted is None and if_asked
        self._installed = wanted is not False and _is_installed()
        if wanted and not self._installed:
            raise ConfigError(
                "--data-bar needs the ocr extra, which is not installed: pip install 'emwatch[ocr]', "
                "or go without --data-bar"
            )
        self._sandbox: BarSandbox | None = None
        self._lacking = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sandbox is not None:
            self._sandbox.__exit__(kind, error, trace)

    def read(self, reading: FrameReading) -> AcquisitionMetadata | None:
        """
        Read a frame's data bar; ``None`` if that is not asked for or not possible.

        A bar that cannot be read costs its values only: a flag says why.
        """
        lacking = reading.metadata.lacks_bar_fields
        if self._not_asked or not self._installed or not (self._every or lacking):
            self._lacking += lacking and self._wanted is None
            return None
        try:
            return self._reader().read(reading.path, reading.sha256)
        except FrameError as error:
            return AcquisitionMetadata(flags=(f"data bar not read: {error}",))

    def why_not(self, metadata: AcquisitionMetadata) -> str:
        """Return why a frame's bar was not read."""
        if self._wanted is False:
            return "not asked for"
        if not self._installed:
            return "the ocr extra is not installed"
        return "" if self._every or metadata.lacks_bar_fields else "the file states what a bar shows"

    def tell(self) -> None:
        """Print once, on stderr, how many frames lack values that their bars may show, and how to get them; not with ``-q``."""
        if not self._lacking or click.get_current_context().meta.get(VERBOSITY, 0) < 0:
            return
        frames = "1 frame lacks values" if self._lacking == 1 else f"{self._lacking:,} frames lack values"
        how = "--data-bar reads it" if self._installed else "reading it needs pip install 'emwatch[ocr]'"
        if self._not_asked and not self._installed:
            how += " and --data-bar"
        click.echo(
            f"note: {frames} that a data bar in the picture may show; {how} (--no-data-bar: leave it)",
            err=True,
        )

    def _reader(self) -> BarSandbox:
        if self._sandbox is None:
            from emwatch.readers.data_bar.sandbox import BarSandbox

            self._sandbox = BarSandbox(self._limits)
            self._sandbox.__enter__()
        return self._sandbox


def with_bar(reading: FrameReading, bar: AcquisitionMetadata | None) -> FrameReading:
    """Return the reading with what its data bar shows: stored values stay, contradictions become flags."""
    if bar is None:
        return reading
    from emwatch.readers.data_bar.bar import merge

    return replace(reading, metadata=merge(reading.metadata, bar))


def _is_installed() -> bool:
    from emwatch.readers.data_bar import ocr

    return ocr.is_installed()
