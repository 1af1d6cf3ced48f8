"""What a reload takes over, what it names for the next start, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emwatch.config import load
from emwatch.errors import ConfigError
from emwatch.ingest.events import Notice
from emwatch.service.reload import Reload
from emwatch.testing import ManualClock

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.config import Config


class Rig:
    """A reload with a real configuration file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "config.yaml"
        self.write("watch: {directory: /sem}")
        self.taken: list[Config] = []
        self.told: list[Any] = []
        self.noted: list[dict[str, Any]] = []
        self.refuses = False
        self.reload = Reload(
            self.read(),
            self.read,
            take_over=self._take,
            tell=self.told.append,
            note=self.noted.append,
            clock=ManualClock(),
        )

    def _take(self, config: Config) -> None:
        if self.refuses:
            raise ConfigError("alerts.horn.argv: cannot be used")
        self.taken.append(config)

    def write(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")

    def read(self) -> Config:
        nowhere = self.file.with_name("none")
        return load(self.file, environ={}, user_file=nowhere, system_file=nowhere).config

    def ask(self) -> list[tuple[str, str]]:
        """What is told of a reload, by level."""
        self.told.clear()
        self.reload.read_again()
        return [(each.level, each.text) for each in self.told if isinstance(each, Notice)]


@pytest.fixture(name="rig")
def _rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_targets_and_channels_are_handed_on_and_named(rig: Rig) -> None:
    rig.write(
        "watch: {directory: /sem}\ntargets: [{name: wires}, {name: tips}]\nalerts: {horn: {kind: command, argv: [x]}}"
    )

    assert rig.ask() == [("info", "configuration read again: looking for wires, tips; alerts on terminal, horn")]
    assert [each.name for each in rig.taken[0].targets] == ["wires", "tips"]
    assert [(each["trouble"], each["needs_restart"]) for each in rig.noted] == [("", [])]


def test_keys_of_the_start_are_named_each_time_until_they_are_as_before(rig: Rig) -> None:
    rig.write("watch: {directory: [/sem, /tem], mode: poll}\nmodel: {views: 5}\nlog: {level: debug}")
    for _ in range(2):
        _, (level, text) = rig.ask()
        assert (level, text.partition(":")[0]) == ("warning", "watch.directory, watch.mode, model.views")
    assert rig.noted[-1]["needs_restart"] == ["watch.directory", "watch.mode", "model.views"]
    rig.write("watch: {directory: /sem}")
    assert [level for level, _ in rig.ask()] == ["info"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("watch: {directory: /sem}\ntarget: []", "config.yaml:2:1: target: unknown key; did you mean `targets`?"),
        ("watch: {directory: /sem}\nlog: {level: loud}\nmodel: {views: 2}", "config.yaml:3:"),
        ("targets: []", "watch.directory: no acquisition directory is given"),
    ],
)
def test_with_a_mistake_nothing_is_taken_over_and_all_mistakes_are_told_in_one_line(
    rig: Rig, text: str, says: str
) -> None:
    rig.write(text)
    [(level, told)] = rig.ask()

    assert level == "error"
    assert says in told
    assert "\n" not in told
    assert rig.noted[-1]["trouble"] in told
    assert rig.taken == []


def test_a_channel_that_cannot_be_opened_is_a_mistake_as_well(rig: Rig) -> None:
    rig.refuses = True

    [(level, told)] = rig.ask()

    assert level == "error"
    assert "alerts.horn.argv" in told
