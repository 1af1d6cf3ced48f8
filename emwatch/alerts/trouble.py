"""Which trouble raises an alert on every channel; `emwatch.service.trouble` watches for it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from emwatch.settings import Number, Section


class TroubleConfig(Section):
    """
    When trouble is told. A directory that is gone and a ledger that cannot be written are always told.

    Attributes:
        no_frame_minutes: no new frame for so long while a session is open; ``None``: never told.
        disk_free_mb: less space than this is left on the ledger's disk.
        backlog_files: at least so many files wait to be read, for ``backlog_minutes``; ``None``: never told.
        channel_down_minutes: a channel takes nothing for so long.

    """

    no_frame_minutes: Annotated[Number, Field(gt=0, le=100_000)] | None = None
    disk_free_mb: Annotated[Number, Field(ge=0, le=1e9)] = 500.0
    backlog_files: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    backlog_minutes: Annotated[Number, Field(ge=0, le=100_000)] = 10.0
    channel_down_minutes: Annotated[Number, Field(gt=0, le=100_000)] = 30.0
