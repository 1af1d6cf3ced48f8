"""Fixtures of the fault tests; see `rig`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rig import Rig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Program


@pytest.fixture(name="rig")
def _rig(emwatch: Program) -> Iterator[Rig]:
    rig = Rig(emwatch)
    rig.configure()
    yield rig
    rig.close()
