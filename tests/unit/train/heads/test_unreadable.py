from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from emwatch.errors import DatasetError
from emwatch.train.dataset.labelled import LabelledFrame
from emwatch.train.heads.pictures import of_frame
from emwatch.train.network.views import decoded

if TYPE_CHECKING:
    from pathlib import Path


class Ears:
    def say(self, line: str) -> None:
        pass

    def counting(self, what: str, done: int, of: int) -> None:
        pass

    def standing(self, at: object) -> None:
        pass


@pytest.mark.parametrize("damage", ["cut", "too many pixels"])
def test_a_frame_that_cannot_be_learned_from_is_named(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "frame.png"
    Image.fromarray(np.arange(4900, dtype=np.uint8).reshape(70, 70)).save(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:60])
    else:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    frame = LabelledFrame(path, 0, "source")

    with pytest.raises(DatasetError, match=r"frame\.png cannot be read"):
        decoded([frame], LabelledFrame.grey, 1, Ears())
    with pytest.raises(DatasetError, match=r"frame\.png cannot be read"):
        of_frame(frame, "whole").pixels()
