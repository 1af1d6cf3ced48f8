"""Each broken configuration: where the mistake is, which key it is, and what the message must say."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emwatch.config import load
from emwatch.errors import ConfigError

NOWHERE = Path("/nonexistent/emwatch.yaml")


class Broken(NamedTuple):
    text: str
    place: str
    key: str
    says: str


BROKEN = {
    "unknown key": Broken("watch:\n  directry: /d\n", "2:3", "watch.directry", "did you mean `directory`?"),
    "unknown section": Broken("wach:\n  mode: poll\n", "1:1", "wach", "did you mean `watch`?"),
    "key in the wrong section": Broken(
        "watch:\n  threads: 3\n", "2:3", "watch.threads", "did you mean `model.threads`?"
    ),
    "key outside a section": Broken("threads: 3\n", "1:1", "threads", "did you mean `model.threads`?"),
    "unlike any key": Broken("log:\n  zzz: 1\n", "2:3", "log.zzz", "known here: level, format"),
    "duplicate key": Broken(
        "watch:\n  mode: poll\n  mode: auto\n", "3:3", "watch.mode", "given twice, first in line 2"
    ),
    "duplicate section": Broken("log:\n  level: info\nlog:\n  format: json\n", "3:1", "log", "given twice"),
    "choice": Broken("watch:\n  mode: evnts\n", "2:9", "watch.mode", "did you mean `events`?"),
    "NO": Broken("watch:\n  recursive: NO\n", "2:14", "watch.recursive", "write false"),
    "on": Broken("watch:\n  recursive: on\n", "2:14", "watch.recursive", "write true"),
    "yes in text": Broken("targets:\n- name: Yes\n", "2:9", "targets[0].name", '"Yes" in quotes'),
    "too large": Broken("watch:\n  sweep_seconds: 1e400\n", "2:18", "watch.sweep_seconds", "no number is that large"),
    "exponent": Broken("watch:\n  sweep_seconds: 1e3\n", "2:18", "watch.sweep_seconds", "write 1000"),
    "octal": Broken("model:\n  threads: 012\n", "2:12", "model.threads", "write 12"),
    "base 60": Broken("targets:\n- name: 12:30:45\n", "2:9", "targets[0].name", '"12:30:45" in quotes'),
    "underscore": Broken("watch:\n  max_frame_mb: 1_000\n", "2:17", "watch.max_frame_mb", "write that"),
    "hexadecimal": Broken("watch:\n  max_frame_mb: 0x10\n", "2:17", "watch.max_frame_mb", "decimal digits"),
    "date": Broken("targets:\n- name: 2026-01-02\n", "2:9", "targets[0].name", '"2026-01-02" in quotes'),
    "key that is a flag": Broken("alerts:\n  on: {kind: terminal}\n", "2:3", "alerts.on", '"on" in quotes'),
    "merge key": Broken("watch:\n  <<: {mode: poll}\n", "2:3", "watch.<<", "a key must be text"),
    "tagged value": Broken("log:\n  level: !!binary aW5mbw==\n", "2:10", "log.level", "plain text"),
    "python tag": Broken("log:\n  level: !!python/name:os.system x\n", "2:10", "log.level", "plain text"),
    "alias": Broken("a: 1\nlog: *x\n", "2:6", "", "aliases are not read"),
    "anchor": Broken("watch: &x\n  mode: poll\n", "1:8", "", "anchors are not read"),
    "tab": Broken("watch:\n\tmode: poll\n", "2:1", "", "indent with spaces"),
    "no colon": Broken("watch:\n  mode poll\n  recursive: true\n", "3:12", "", "a `:` where none can be"),
    "open brace": Broken("watch: {directory: frames\ntargets: []\n", "2:8", "", "is not closed before this"),
    "open brace at the end": Broken("watch: {directory: frames\n", "2:1", "", "is not closed before this"),
    "wrong bracket": Broken("targets: [{name: a, category: Tips]\n", "1:35", "", "a comma is missing"),
    "items below an empty list": Broken("targets: []\n  - name: a\n", "2:3", "", "take the [] or {} away"),
    "open quote": Broken('log:\n  level: "info\n', "3:1", "", "never closed"),
    "indentation": Broken("watch:\n  mode: poll\n   recursive: true\n", "3:13", "", "indentation"),
    "windows path": Broken('watch:\n  directory: "C:\\data"\n', "2:18", "", "single quotes"),
    "percent": Broken("watch:\n  include: %tif\n", "2:12", "", "in quotes"),
    "two documents": Broken("log: {}\n---\nlog: {}\n", "2:1", "", "second document"),
    "control character": Broken("log:\n  level: in\x07fo\n", "2:12", "", "U+0007"),
    "a list at the top": Broken("- watch\n", "1:1", "", "expected sections"),
    "text at the top": Broken("watch\n", "1:1", "", "expected sections"),
    "section that is a value": Broken("watch: /data\n", "1:8", "watch", "expected keys on indented lines"),
    "section that is a list": Broken("log: [info]\n", "1:6", "log", "expected keys on indented lines"),
    "flag as text": Broken("watch:\n  recursive: maybe\n", "2:14", "watch.recursive", "expected true or false"),
    "number as text": Broken(
        "model:\n  threads: two\n", "2:12", "model.threads", "expected a whole number, found 'two'"
    ),
    "decimal comma": Broken(
        "targets:\n- name: a\n  min_probability: 0,8\n", "3:20", "targets[0].min_probability", "write 0.8"
    ),
    "decimal comma in braces": Broken(
        "targets:\n- {name: a, min_probability: 0,8}\n", "2:32", "targets[0].8", "0.8, not 0,8"
    ),
    "thousands": Broken(
        "targets:\n- name: a\n  magnification:\n    min: 1,000\n",
        "4:10",
        "targets[0].magnification.min",
        "expected a number, found '1,000'",
    ),
    "per cent": Broken(
        "targets:\n- {name: a, min_probability: 80%}\n", "2:30", "targets[0].min_probability", "write 0.8"
    ),
    "thousands as k": Broken(
        "targets:\n- {name: a, magnification: {min: 2.5k}}\n", "2:34", "targets[0].magnification.min", "write 2500"
    ),
    "number with its unit": Broken(
        "ledger:\n  session_gap_minutes: 2h\n", "2:24", "ledger.session_gap_minutes", "write the number alone"
    ),
    "window as in the options": Broken(
        "targets:\n- {name: a, magnification: 10k..50k}\n",
        "2:28",
        "targets[0].magnification",
        "(`min: ...`, `max: ...`), found '10k..50k'",
    ),
    "no blank after the colon": Broken("watch:\n  mode:poll\n", "2:3", "watch", "a blank is missing after the `:`"),
    "quoted number": Broken('model:\n  threads: "2"\n', "2:12", "model.threads", "expected a whole number"),
    "fraction": Broken("model:\n  threads: 1.5\n", "2:12", "model.threads", "expected a whole number"),
    "too small": Broken("model:\n  threads: 0\n", "2:12", "model.threads", "at least 1, found 0"),
    "negative time": Broken("watch:\n  settle_seconds: -1\n", "2:19", "watch.settle_seconds", "at least 0"),
    "no time": Broken("watch:\n  sweep_seconds: 0\n", "2:18", "watch.sweep_seconds", "above 0"),
    "not finite": Broken("watch:\n  sweep_seconds: .inf\n", "2:18", "watch.sweep_seconds", "finite number"),
    "not a number": Broken("watch:\n  patience_seconds: .nan\n", "2:21", "watch.patience_seconds", "finite number"),
    "empty value": Broken("model:\n  threads:\n", "2:11", "model.threads", "found nothing"),
    "one path or many": Broken(
        "watch:\n  directory: 5\n",
        "2:14",
        "watch.directory",
        "expected a path, or a list (`- ` lines, or [a, b]), found 5",
    ),
    "one text or many": Broken("watch:\n  include: {a: b}\n", "2:12", "watch.include", "expected text, or a list"),
    "one channel or many": Broken("targets:\n- name: a\n  alerts: 5\n", "3:11", "targets[0].alerts", "text, or a list"),
    "path as number": Broken("ledger:\n  path: 12\n", "2:9", "ledger.path", 'write "12" in quotes'),
    "empty path": Broken('ledger:\n  path: ""\n', "2:9", "ledger.path", "expected a path"),
    "no such user": Broken("ledger:\n  path: ~nobody-of-that-name/x\n", "2:9", "ledger.path", "no such user"),
    "empty glob": Broken('watch:\n  exclude: ["*.tmp", ""]\n', "2:22", "watch.exclude[1]", "is empty"),
    "target without a name": Broken("targets:\n- category: Tips\n", "2:3", "targets[0].name", "is missing"),
    "targets as a mapping": Broken("targets:\n  name: a\n", "2:3", "targets", "expected a list"),
    "name twice": Broken("targets:\n- name: a\n- name: a\n", "3:9", "targets[1].name", "names are unique"),
    "name as a number": Broken("targets:\n- name: 7\n", "2:9", "targets[0].name", 'write "7" in quotes'),
    "category": Broken(
        "targets:\n- name: a\n  category: nanowire\n", "3:13", "targets[0].category", "did you mean `Nanowires`?"
    ),
    "category in a list": Broken(
        "targets:\n- name: a\n  category: [Tips, Fibers]\n",
        "3:20",
        "targets[0].category[1]",
        "did you mean `Fibres`?",
    ),
    "probability": Broken(
        "targets:\n- {name: a, min_probability: 80}\n", "2:30", "targets[0].min_probability", "at most 1"
    ),
    "window upside down": Broken(
        "targets:\n- name: a\n  magnification: {min: 9, max: 3}\n", "3:18", "targets[0].magnification", "is above"
    ),
    "empty window": Broken(
        "targets:\n- name: a\n  stage_tilt_deg: {}\n", "3:19", "targets[0].stage_tilt_deg", "`min`, `max` or both"
    ),
    "window as a number": Broken(
        "targets:\n- name: a\n  magnification: 500\n", "3:18", "targets[0].magnification", "indented lines"
    ),
    "key of a window": Broken(
        "targets:\n- name: a\n  magnification: {minimum: 3}\n",
        "3:19",
        "targets[0].magnification.minimum",
        "did you mean `min`?",
    ),
    "window that no frame lies in": Broken(
        "targets:\n- {name: a, magnification: {max: 0}}\n",
        "2:28",
        "targets[0].magnification",
        "`max` 0: no frame has that",
    ),
    "volts": Broken(
        "targets:\n- {name: a, accelerating_voltage_kv: {min: 5000}}\n",
        "2:38",
        "targets[0].accelerating_voltage_kv",
        "`min` 5000: no frame has that: voltage is from 0 kV to 1,000 kV",
    ),
    "probability of a category": Broken(
        "targets:\n- {name: a, min_probability: {Tips: 80}}\n",
        "2:37",
        "targets[0].min_probability.Tips",
        "at most 1",
    ),
    "probability of no category": Broken(
        "targets:\n- {name: a, min_probability: {Tip: 0.5}}\n",
        "2:31",
        "targets[0].min_probability.Tip",
        "found 'Tip'; did you mean `Tips`?",
    ),
    "probability as text": Broken(
        "targets:\n- {name: a, min_probability: high}\n",
        "2:30",
        "targets[0].min_probability",
        "expected a number, found 'high'",
    ),
    "probability of another category": Broken(
        "targets:\n- {name: a, category: Nanowires, min_probability: {Tips: 0.5}}\n",
        "2:3",
        "targets[0]",
        "`min_probability` names Tips, which `category` does not",
    ),
    "probability of what was learned": Broken(
        "targets:\n- {name: a, learned: rods, min_probability: 0.5}\n",
        "2:3",
        "targets[0]",
        "a learned target has a threshold of its own",
    ),
    "margin": Broken("targets:\n- {name: a, min_margin: 20}\n", "2:25", "targets[0].min_margin", "at most 1"),
    "more than there are": Broken(
        "targets:\n- {name: a, of_last: {at_least: 6, frames: 5}}\n",
        "2:22",
        "targets[0].of_last",
        "`at_least` 6 of `frames` 5: never so many",
    ),
    "one of the last": Broken(
        "targets:\n- {name: a, of_last: {at_least: 1, frames: 5}}\n",
        "2:33",
        "targets[0].of_last.at_least",
        "must be at least 2",
    ),
    "of the last how many": Broken(
        "targets:\n- {name: a, of_last: {at_least: 3}}\n", "2:22", "targets[0].of_last.frames", "is missing"
    ),
    "hours": Broken(
        'targets:\n- {name: a, hours: ["22-6"]}\n', "2:20", "targets[0].hours", "a range of local time such as"
    ),
    "hours without end": Broken(
        'targets:\n- {name: a, hours: "6:00-6:00"}\n', "2:20", "targets[0].hours", "begin and end are the same"
    ),
    "all hours": Broken(
        'targets:\n- {name: a, hours: ["6:00-18:00", "18:00-6:00"]}\n',
        "2:20",
        "targets[0].hours",
        "cover the whole day",
    ),
    "zone without hours": Broken(
        "targets:\n- {name: a, timezone: Europe/Zurich}\n", "2:3", "targets[0]", "`hours`, which are not there"
    ),
    "zone": Broken(
        'targets:\n- {name: a, hours: "6:00-7:00", timezone: Zurich}\n',
        "2:43",
        "targets[0].timezone",
        "write a name such as Europe/Zurich",
    ),
    "no path": Broken('targets:\n- {name: a, path: ""}\n', "2:19", "targets[0].path", "is empty"),
    "key of a target": Broken("targets:\n- {name: a, tilt: 3}\n", "2:13", "targets[0].tilt", "`stage_tilt_deg`"),
    "channel unknown": Broken(
        "targets:\n- {name: a, alerts: [terminl]}\n", "2:22", "targets[0].alerts[0]", "did you mean `terminal`?"
    ),
    "no channel but a key": Broken(
        "targets:\n- {name: a, alerts: [max_age_days]}\n", "2:22", "targets[0].alerts[0]", "no channel is called"
    ),
    "negative age": Broken("alerts:\n  max_age_days: -1\n", "2:17", "alerts.max_age_days", "above 0"),
    "name of a channel": Broken('alerts:\n  "a\\x01": {kind: terminal}\n', "2:3", "alerts", "printable"),
    "kind of channel": Broken("alerts:\n  a: {kind: comand}\n", "2:13", "alerts.a.kind", "did you mean `command`?"),
    "channel without kind": Broken("alerts:\n  a: {argv: [x]}\n", "2:6", "alerts.a", "write `kind: terminal`"),
    "command without argv": Broken("alerts:\n  a: {kind: command}\n", "2:6", "alerts.a.argv", "is missing"),
    "argv as text": Broken("alerts:\n  a: {kind: command, argv: say hi}\n", "2:28", "alerts.a.argv", "expected a list"),
    "argv empty": Broken("alerts:\n  a: {kind: command, argv: []}\n", "2:28", "alerts.a.argv", "at least one"),
    "placeholder": Broken(
        'alerts:\n  a: {kind: command, argv: [lamp, "{pth}"]}\n',
        "2:28",
        "alerts.a.argv",
        "unknown placeholder {pth}: known are {path}",
    ),
    "empty placeholder": Broken(
        'alerts:\n  a: {kind: command, argv: [awk, "{}"]}\n', "2:28", "alerts.a.argv", "unknown placeholder {}"
    ),
    "key of a channel": Broken(
        "alerts:\n  a: {kind: command, argv: [x], timeout: 3}\n", "2:33", "alerts.a.timeout", "`timeout_seconds`"
    ),
    "half a character in a path": Broken(
        'watch: {directory: "/a\\ud800b"}\n', "1:20", "watch.directory", r"\ud800 is half of a character"
    ),
    "half a character in a list of paths": Broken(
        'watch: {directory: [/a, "/b\\udfff"]}\n', "1:25", "watch.directory[1]", r"\udfff is half of a character"
    ),
    "half a character in a home": Broken(
        'ledger: {path: "~\\ud800/x"}\n', "1:16", "ledger.path", r"\ud800 is half of a character"
    ),
    "half a character in a pattern": Broken(
        'watch: {include: ["\\ud800"]}\n', "1:19", "watch.include[0]", r"\ud800 is half of a character"
    ),
    "half a character in a program": Broken(
        'alerts:\n  a: {kind: command, argv: ["\\ud800"]}\n', "2:29", "alerts.a.argv[0]", "half of a character"
    ),
    "half a character in a name": Broken('alerts:\n  "\\ud800": {}\n', "2:3", "alerts", "half of a character"),
    "half a character in a section": Broken('"\\ud800": {}\n', "1:1", "", "half of a character"),
    "a character in halves": Broken(
        'watch: {mode: "\\ud83d\\ude00"}\n', "1:15", "watch.mode", r"\ud83d is half of a character"
    ),
    "a byte in a name": Broken('targets:\n- {name: "\\udce9"}\n', "2:10", "targets[0].name", "not UTF-8"),
    "a number that is none": Broken('watch: {sweep_seconds: !!float "x"}\n', "1:24", "watch.sweep_seconds", "decimal"),
    "octal without end": Broken(
        f"watch: {{sweep_seconds: 0{'7' * 5000}}}\n", "1:24", "watch.sweep_seconds", "not a decimal number"
    ),
    "web": Broken("web:\n  prt: 80\n", "2:3", "web.prt", "did you mean `port`?"),
}


def _message(file: Path, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(file, environ=environ or {}, user_file=NOWHERE, system_file=NOWHERE)
    return str(caught.value)


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_mistake_is_told_with_its_place_its_key_and_what_to_write(tmp_path: Path, broken: Broken) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(broken.text, encoding="utf-8")

    lines = [line for line in _message(file).splitlines() if line.startswith(f"{file}:{broken.place}: ")]
    told = lines[0].removeprefix(f"{file}:{broken.place}: ") if lines else _message(file)

    assert told.startswith(f"{broken.key}: " if broken.key else "")
    assert broken.says in told
    assert len(lines) == 1


@pytest.mark.parametrize(
    "name", [name for name in BROKEN if name not in {"alias", "flag as text", "argv empty", "argv as text"}]
)
def test_one_mistake_gives_one_message(tmp_path: Path, name: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(BROKEN[name].text, encoding="utf-8")

    assert len(_message(file).splitlines()) == 1


def test_no_choice_is_proposed_that_is_not_like_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("alerts:\n  mail: {kind: email}\n", encoding="utf-8")

    assert _message(file).endswith("notify; found 'email'")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("watch:\n  mode: x\n  recursive: NO\nlog:\n  lvl: 3\n  format: 3\n", encoding="utf-8")

    places = re.findall(r"c\.yaml:(\d+:\d+): ", _message(file))

    assert places == ["2:9", "3:14", "5:3", "6:11"]


def test_a_file_in_another_encoding_is_told_with_the_place_of_the_byte(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes("log: {}\n# µ ä".encode("cp1252"))

    assert _message(file) == f"{file}:2:3: not UTF-8 text: save the file in the encoding UTF-8"


def test_a_file_of_more_than_256_kb_is_not_parsed(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(b"# " + b"x" * 256 * 1024)

    assert "is larger than 262,144 bytes" in _message(file)


@pytest.mark.timeout(20)
def test_a_pipe_or_device_as_configuration_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")

    for name in ("pipe.yaml", "zero.yaml"):
        assert "is not a regular file" in _message(tmp_path / name)


def test_deep_nesting_is_refused_without_recursion(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("a: " + "[" * 100_000, encoding="utf-8")

    assert "nested more than 16 deep" in _message(file)


def test_a_missing_file_of_the_flag_is_told(tmp_path: Path) -> None:
    assert f"{tmp_path / 'none.yaml'}: no such file" in _message(tmp_path / "none.yaml")


def test_a_folder_as_file_is_told(tmp_path: Path) -> None:
    assert "is not a regular file" in _message(tmp_path)


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("EMWATCH_MODEL_THREADS", "two", "model.threads: expected a whole number, found 'two'"),
        ("EMWATCH_WATCH_RECURSIVE", "maybe", "watch.recursive: expected true or false, found 'maybe'"),
        (
            "EMWATCH_WATCH_MODE",
            "pol",
            "watch.mode: expected one of auto, events, poll; found 'pol'; did you mean `poll`?",
        ),
        ("EMWATCH_WATCH_SETTLE_SECONDS", "-2", "watch.settle_seconds: must be at least 0, found -2.0"),
    ],
)
def test_a_bad_variable_is_named(variable: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ={variable: text}, user_file=NOWHERE, system_file=NOWHERE)

    assert str(caught.value).startswith(f"environment {variable}: {says}")


def test_a_configuration_variable_with_an_unknown_home_is_told() -> None:
    with pytest.raises(ConfigError, match=r"EMWATCH_CONFIG: ~nobody-of-that-name/c\.yaml: there is no such user"):
        load(environ={"EMWATCH_CONFIG": "~nobody-of-that-name/c.yaml"}, user_file=NOWHERE, system_file=NOWHERE)


_WORDS = (
    *("watch", "directory", "ledger", "path", "targets", "name", "alerts", "kind", "command", "argv", "max_age_days"),
    *(
        ": ",
        ":\n  ",
        "\n- ",
        "- ",
        "\n",
        "{",
        "}",
        "[",
        "]",
        ", ",
        '"',
        "'",
        "|",
        ">",
        "?",
        "%",
        "---",
        "#",
        "\t",
        "<<",
    ),
    *("\\ud800", "\\x00", "~", "~x", "!!int ", "!!float ", "!!timestamp ", "!!set ", "&a ", "*a", "1", "1.5", ".inf"),
    *("null", "true", "0x1", "1_0", "1:2", "017"),
)


@settings(max_examples=3 * settings.default.max_examples, deadline=None)
@given(text=st.lists(st.sampled_from(_WORDS) | st.text(max_size=3), max_size=25).map("".join))
def test_whatever_stands_in_the_file_it_is_a_configuration_or_a_mistake(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))

    try:
        load(file, environ={}, user_file=NOWHERE, system_file=NOWHERE)
    except ConfigError as error:
        assert str(file) in str(error)  # noqa: PT017 - either way is right
