"""A run's folder: when it goes on, when it refuses, and what survives a kill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from emwatch.errors import ModelError
from emwatch.train.network.run_folder import RunFolder, RunProgress

if TYPE_CHECKING:
    from pathlib import Path

MATERIAL = "a" * 64
SETTINGS = {"recipe": "original", "epochs": 20, "seed": 0}


def _begun(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    assert folder.check(SETTINGS, must_resume=False) is False
    folder.start(SETTINGS, MATERIAL, resume=False)
    folder.keep(RunProgress(epoch=3, batch=7, best_loss=0.5, best_epoch=2), [np.arange(4.0), np.array(7)])
    return folder


def test_an_unfinished_run_of_the_same_settings_goes_on(tmp_path: Path) -> None:
    assert _begun(tmp_path).check(SETTINGS, must_resume=False) is True


def test_a_run_that_was_killed_before_its_first_state_begins_anew_with_any_settings(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.start(SETTINGS, MATERIAL, resume=False)

    assert folder.check(SETTINGS, must_resume=True) is False
    assert folder.check({"epochs": 5}, must_resume=False) is False


def test_asking_writes_nothing(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run").check(SETTINGS, must_resume=False)

    assert list(tmp_path.iterdir()) == []


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="other settings: epochs 20, now 10; seed 0, now None") as refused:
        _begun(tmp_path).check({"recipe": "original", "epochs": 10}, must_resume=False)

    assert "recipe" not in str(refused.value)


def test_a_finished_run_is_not_touched(tmp_path: Path) -> None:
    folder = _begun(tmp_path)
    folder.finish({"accuracy": 0.5})

    with pytest.raises(ModelError, match="holds a finished run"):
        folder.check(SETTINGS, must_resume=False)
    assert not (folder.path / "state.npz").exists()


def test_a_folder_of_something_else_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()

    with pytest.raises(ModelError, match="holds other files"):
        RunFolder(tmp_path).check(SETTINGS, must_resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no run to resume"):
        RunFolder(tmp_path / "run").check(SETTINGS, must_resume=True)
    assert not (tmp_path / "run").exists()


def test_other_frames_are_refused(tmp_path: Path) -> None:
    folder = _begun(tmp_path)
    folder.start(SETTINGS, MATERIAL, resume=True)

    with pytest.raises(ModelError, match="the dataset has changed"):
        folder.start(SETTINGS, "b" * 64, resume=True)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"settings": 1, "material_sha256": ""}'])
def test_a_damaged_run_is_told_by_name(tmp_path: Path, content: str) -> None:
    folder = _begun(tmp_path)
    (folder.path / "run.json").write_text(content, encoding="utf-8")

    with pytest.raises(ModelError, match=r"run\.json cannot be read"):
        folder.check(SETTINGS, must_resume=False)


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    progress, [first, second] = _begun(tmp_path).kept()

    assert (progress.epoch, progress.batch, progress.best_loss, progress.best_epoch) == (3, 7, 0.5, 2)
    assert first.tolist() == [0, 1, 2, 3]
    assert second.shape == ()


def test_a_write_that_fails_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _begun(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("emwatch.train.network.run_folder.np.savez", full)
    with pytest.raises(OSError, match="No space left"):
        folder.keep(RunProgress(epoch=4), [])

    monkeypatch.undo()
    assert folder.kept()[0].epoch == 3
    assert not [path for path in folder.path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half an archive"])
def test_a_damaged_state_is_told_by_name(tmp_path: Path, content: bytes) -> None:
    folder = _begun(tmp_path)
    (folder.path / "state.npz").write_bytes(content)

    with pytest.raises(ModelError, match=r"state\.npz cannot be read"):
        folder.kept()
