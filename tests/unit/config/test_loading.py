from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from emwatch.config import Config, Loaded, leaf_keys, load
from emwatch.config.schema import TargetConfig, WebConfig
from emwatch.errors import ConfigError
from emwatch.frame import CATEGORIES
from emwatch.targets.conditions import WindowConfig
from emwatch.testing import make_target

NOWHERE = Path("/nonexistent/emwatch.yaml")
EXAMPLE = Path(__file__).resolve().parents[3] / "config.example.yaml"


def _load(text: str = "", folder: Path | None = None, flags: dict[str, object] | None = None, **environ: str) -> Loaded:
    file = None
    if folder is not None:
        file = folder / "c.yaml"
        file.write_text(text, encoding="utf-8")
    return load(file, flags, environ={"STATE_DIRECTORY": "/s", **environ}, user_file=NOWHERE, system_file=NOWHERE)


def test_the_strongest_source_wins_key_by_key(tmp_path: Path) -> None:
    system, user, chosen = (tmp_path / name for name in ("system.yaml", "user.yaml", "chosen.yaml"))
    every = ["max_depth", "settle_seconds", "patience_seconds", "sweep_seconds", "read_seconds"]
    for at, file in enumerate((system, user, chosen), start=1):
        file.write_text("watch:\n" + "".join(f"  {key}: {at}\n" for key in every[at - 1 :]), encoding="utf-8")

    loaded = load(
        chosen,
        {"watch.read_seconds": 5},
        environ={"EMWATCH_WATCH_SWEEP_SECONDS": "4", "EMWATCH_WATCH_READ_SECONDS": "4"},
        user_file=user,
        system_file=system,
    )
    watch = loaded.config.watch

    assert [getattr(watch, key) for key in every] == [1, 2, 3, 4, 5]
    assert [str(loaded.origins[f"watch.{key}"]) for key in every] == [
        f"{system}:2:14",
        f"{user}:2:19",
        f"{chosen}:2:21",
        "environment EMWATCH_WATCH_SWEEP_SECONDS",
        "flag",
    ]
    assert str(loaded.origins["watch.mode"]) == "default"
    assert loaded.files == (chosen, user, system)


def test_the_variable_names_the_file_where_no_flag_does(tmp_path: Path) -> None:
    named, flagged = tmp_path / "named.yaml", tmp_path / "flagged.yaml"
    named.write_text("model: {threads: 5}", encoding="utf-8")
    flagged.write_text("model: {threads: 6}", encoding="utf-8")
    environ = {"EMWATCH_CONFIG": str(named)}

    threads = [
        load(file, environ=environ, user_file=NOWHERE, system_file=NOWHERE).config.model.threads
        for file in (None, flagged)
    ]

    assert threads == [5, 6]


def test_a_file_named_by_the_variable_must_exist() -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(environ={"EMWATCH_CONFIG": str(NOWHERE)}, user_file=NOWHERE, system_file=NOWHERE)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "watch:\n", "\ufeff# with a byte order mark\n"])
def test_an_empty_file_is_the_default_configuration(tmp_path: Path, text: str) -> None:
    assert _load(text, tmp_path).config == _load().config


def test_an_empty_section_hides_nothing_below_it(tmp_path: Path) -> None:
    system = tmp_path / "system.yaml"
    system.write_text("watch: {mode: poll}", encoding="utf-8")
    user = tmp_path / "user.yaml"
    user.write_text("watch:\n", encoding="utf-8")

    assert load(environ={}, user_file=user, system_file=system).config.watch.mode == "poll"


def test_a_watched_directory_is_all_that_must_be_given(tmp_path: Path) -> None:
    assert _load(f"watch: {{directory: {tmp_path}}}", tmp_path).config.watched_directories() == (tmp_path,)


def test_without_a_directory_the_message_says_what_to_write() -> None:
    with pytest.raises(ConfigError, match="watch:\n  directory: /path"):
        _load().config.watched_directories()


def test_relative_paths_are_relative_to_their_file_and_the_home_is_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/op")
    text = "watch: {directory: [sem, ../x, ~/em, /abs]}\nmodel: {bundle: b}\nledger: {path: ./l.db}\n"

    config = _load(text, tmp_path).config

    assert config.watch.directory == (tmp_path / "sem", tmp_path.parent / "x", Path("/home/op/em"), Path("/abs"))
    assert (config.model.bundle, config.ledger.path) == (tmp_path / "b", tmp_path / "l.db")


def test_paths_of_flags_and_variables_are_relative_to_where_we_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    config = _load(flags={"watch.directory": (Path("sem"),)}, EMWATCH_LEDGER_PATH="l.db").config

    assert (config.watch.directory, config.ledger.path) == ((tmp_path / "sem",), tmp_path / "l.db")


def test_a_program_is_found_beside_its_file_and_a_bare_name_is_left_to_the_search_path(tmp_path: Path) -> None:
    text = "alerts:\n  a: {kind: command, argv: [./horn, ./loud]}\n  b: {kind: command, argv: [aplay]}\n"

    alerts = _load(text, tmp_path).config.alerts.channels

    assert [alerts[name].argv for name in "ab"] == [(str(tmp_path / "horn"), "./loud"), ("aplay",)]


@pytest.mark.parametrize(
    ("state_directory", "ledger"), [("/var/lib/emwatch", "/var/lib/emwatch"), ("/a:/b", "/a")], ids=["one", "several"]
)
def test_the_ledger_lies_in_the_state_directory_of_systemd(state_directory: str, ledger: str) -> None:
    assert _load(STATE_DIRECTORY=state_directory).config.ledger.path == Path(ledger) / "ledger.sqlite3"


def test_a_channel_is_replaced_as_a_whole(tmp_path: Path) -> None:
    system, user = tmp_path / "system.yaml", tmp_path / "user.yaml"
    system.write_text("alerts: {a: {kind: command, argv: [x]}, b: {kind: terminal}}", encoding="utf-8")
    user.write_text("alerts: {a: {kind: terminal}}", encoding="utf-8")

    alerts = load(environ={}, user_file=user, system_file=system).config.alerts.channels

    assert {name: channel.kind for name, channel in alerts.items()} == dict.fromkeys(("terminal", "a", "b"), "terminal")


def test_the_age_of_alerting_frames_stands_beside_the_channels(tmp_path: Path) -> None:
    text = "alerts:\n  max_age_days: 10\n  a: {kind: terminal}\n"

    given, from_variable = _load(text, tmp_path), _load(EMWATCH_ALERTS_MAX_AGE_DAYS="0.5")

    assert (given.config.alerts.max_age, set(given.config.alerts.channels)) == (timedelta(days=10), {"terminal", "a"})
    assert str(given.origins["alerts.max_age_days"]).endswith("c.yaml:2:17")
    assert from_variable.config.alerts.max_age == timedelta(hours=12)
    assert _load().config.alerts.max_age == timedelta(days=3)


def test_a_target_becomes_the_pipelines_target(tmp_path: Path) -> None:
    text = """
targets:
- name: tilted wires
  category: [Nanowires, Fibres]
  magnification: {min: 10000}
  stage_tilt_deg: {min: 30, max: 60.5}
- name: tips
  category: Tips
- name: anything
  min_probability: 0
"""

    assert _load(text, tmp_path).config.wanted() == (
        make_target(
            "tilted wires",
            ("Nanowires", "Fibres"),
            0.8,
            magnification={"min": 10000.0},
            stage_tilt_deg={"min": 30.0, "max": 60.5},
        ),
        make_target("tips", "Tips", 0.8),
        make_target("anything"),
    )


def test_every_category_can_be_a_target() -> None:
    assert TargetConfig(name="all", category=CATEGORIES).category == CATEGORIES


def test_the_configuration_cannot_be_changed() -> None:
    config = _load().config

    with pytest.raises(ValidationError, match="frozen"):
        config.watch.mode = "poll"  # type: ignore[misc]
    with pytest.raises(TypeError, match="item assignment"):
        config.alerts.channels["x"] = config.alerts.channels["terminal"]  # type: ignore[index]


@pytest.mark.parametrize("text", ["true", "1", "yes", "TRUE"])
def test_a_flag_of_the_environment_is_read_as_shells_write_it(text: str) -> None:
    assert _load(EMWATCH_WATCH_RECURSIVE=text).config.watch.recursive is True


def test_every_single_value_has_a_variable(tmp_path: Path) -> None:
    texts = {"flag": "false", "number": "7", "integer": "200"}
    choices = {
        "watch.max_depth": "3",
        "watch.mode": "poll",
        "watch.catch_up": "new",
        "watch.data_bar": "never",
        "model.engine": "keras",
        "model.views": "5",
        "web.serve": "true",
        "ledger.session_folders": "{operator}/{sample}",
        "ledger.server": "postgresql+psycopg://emwatch@db.example.org/emwatch",
        "log.level": "error",
        "log.format": "json",
    }
    leaves = [leaf for leaf in leaf_keys() if leaf.kind]
    environ = {leaf.variable: choices.get(leaf.key, texts.get(leaf.kind, str(tmp_path))) for leaf in leaves}

    loaded = load(environ=environ, user_file=NOWHERE, system_file=NOWHERE)
    defaults = load(environ={}, user_file=NOWHERE, system_file=NOWHERE).config
    same = [
        leaf.key
        for leaf in leaves
        for section, key in [leaf.key.split(".")]
        if getattr(getattr(loaded.config, section), key) == getattr(getattr(defaults, section), key)
    ]

    assert same == []
    assert {leaf.key: str(loaded.origins[leaf.key]) for leaf in leaves} == {
        leaf.key: f"environment {leaf.variable}" for leaf in leaves
    }
    assert loaded.warnings == ()


@pytest.mark.timeout(20)
def test_a_token_file_that_holds_none_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, content in (("empty", " \n"), ("good", " secret\n")):
        (tmp_path / name).write_text(content, encoding="utf-8")
    for name, why in (("pipe", "not a regular file"), ("empty", "is empty"), ("none", "No such file")):
        with pytest.raises(ConfigError, match=rf"web\.token_file: .*{name}: .*{why}"):
            WebConfig(token_file=tmp_path / name).read_token()
    assert WebConfig(token_file=tmp_path / "good").read_token() == "secret"
    assert WebConfig().read_token() == ""


def test_an_empty_variable_counts_as_not_set() -> None:
    assert _load(EMWATCH_MODEL_BUNDLE="").config.model.bundle is None


def test_variables_that_are_no_key_are_told_but_do_not_hinder() -> None:
    loaded = _load(
        EMWATCH_MODEL_THREDS="1",
        EMWATCH_TARGETS="x",
        EMWATCH_ALERT_PATH="ours",
        EMWATCH_REAL_FRAMES="tests",
        EMWATCH_LABELLED_FRAMES="tests",
    )

    assert loaded.warnings == (
        "EMWATCH_MODEL_THREDS: not a variable of emwatch, ignored; did you mean EMWATCH_MODEL_THREADS?",
        "EMWATCH_TARGETS: targets is not a single value and cannot be set by a variable; write it in a file",
    )


def test_a_window_is_closed() -> None:
    assert WindowConfig(min=1.0, max=1.0).contains(1.0)


class TestTheExample:
    def test_its_values_are_the_defaults(self) -> None:
        loaded = load(EXAMPLE, environ={}, user_file=NOWHERE, system_file=NOWHERE)

        assert loaded.config == load(environ={}, user_file=NOWHERE, system_file=NOWHERE).config

    def test_it_names_every_key(self) -> None:
        text = EXAMPLE.read_text(encoding="utf-8")
        sections = dict(re.findall(r"^(\w+):(.*?)(?=^\w+:|\Z)", text, flags=re.DOTALL | re.MULTILINE))
        missing = [
            leaf.key
            for leaf in leaf_keys()
            for section, _, key in [leaf.key.partition(".")]
            if not (
                re.search(rf"^  (# )?{key}:", sections[section], flags=re.MULTILINE) if key else section in sections
            )
        ]

        assert missing == []
        assert set(sections) == set(Config.model_fields)

    def test_what_is_commented_out_is_valid_too(self, tmp_path: Path) -> None:
        text = EXAMPLE.read_text(encoding="utf-8")
        text = re.sub(r"^  # (directory|path):", r"  \1:", text, flags=re.MULTILINE)
        text = re.sub(r"^#(  [- ] .*|  \w.*)$", r"\1", text, flags=re.MULTILINE).replace("targets: []", "targets:")

        config = _load(text, tmp_path).config

        assert [target.name for target in config.targets] == ["tilted nanowires", "any good powder"]
        assert set(config.alerts.channels) == {"terminal", "horn", "live", "hook", "gather", "bus", "mail"}
        assert config.watch.directory == (Path("/data/sem"),)
        assert set(yaml.safe_load(text)["targets"][0]) == set(TargetConfig.model_fields)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+psycopg://emwatch:hunter-two@db/emwatch", "holds a password"),
        ("postgresql+psycopg://emwatch@db/emwatch?password=hunter-two", "holds a password"),
        ("postgresql+psycopg://emwatch:hunter-two/x@db/emwatch", "is no address"),
        *(
            (f"postgresql+psycopg://emwatch@db/emwatch?{name}=hunter-two", "holds a password")
            for name in ("sslpassword", "PASSWORD", "oauth_client_secret", "scram_client_key", "passw%6frd")
        ),
        ("postgresql+psycopg:emwatch:hunter-two@db/emwatch", "is no address"),
        ("emwatch:hunter-two@db/emwatch", "is no address"),
        ("postgresql+psycopg://emwatch@db:/emwatch", "is no address"),
        ("postgresql+psycopg://emwatch@[::1]:/emwatch", "is no address"),
        ("host=db user=emwatch password=hunter-two", "is no address"),
        ("postgresql+psycopg://emwatch@db\u200b/emwatch", "is no address"),
        ("postgresql+psycopg://emwatch@db", "expected postgresql"),
        ("mysql://emwatch@db/emwatch", "expected postgresql"),
        ("postgresql+psycopg:///emwatch", "expected postgresql"),
        ("/var/lib/ledger.sqlite3", "expected postgresql"),
    ],
)
def test_an_address_of_a_server_holds_no_password_and_names_all_it_needs(tmp_path: Path, url: str, words: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"ledger: {{server: '{url}'}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=words) as raised:
        load(file, environ={}, user_file=NOWHERE, system_file=NOWHERE)
    assert "hunter-two" not in str(raised.value)


@pytest.mark.parametrize(
    "written",
    [
        "ledger: {{server: 'postgresql+psycopg://emwatch@db/emwatch', server_password: {}}}",
        "alerts: {{hook: {{kind: webhook, url: 'https://lab.example/x', secret: {}}}}}",
        "alerts: {{hook: {{kind: webhook, url_from: {}}}}}",
    ],
)
@pytest.mark.parametrize(
    "secret",
    [
        *("hunter-two", "12345678", "[hunter-two]", "'hunter-two: x'", "true", "https://hooks.example/hunter-two"),
        *("{env: hunter-two}", "{credential: 'hunter-two/x'}", "{env: 12345678}"),
    ],
)
def test_a_secret_written_where_its_place_belongs_is_not_shown(tmp_path: Path, written: str, secret: str) -> None:
    """Messages about the configuration go into the log of the service."""
    file = tmp_path / "c.yaml"
    file.write_text(written.format(secret) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load(file, environ={}, user_file=NOWHERE, system_file=NOWHERE)
    assert "credential: NAME" in str(raised.value)
    assert not re.search("hunter-two|12345678", str(raised.value))


def test_the_password_of_a_server_is_looked_up_when_it_is_used(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    server = "server: postgresql+psycopg://emwatch@db/emwatch"
    file.write_text(f"ledger: {{{server}, server_password: {{file: pw}}}}\n", encoding="utf-8")
    loaded = load(file, environ={}, user_file=NOWHERE, system_file=NOWHERE)
    assert loaded.origins["ledger.server_password"].kind == "file"
    (tmp_path / "pw").write_text("hunter-two\n", encoding="utf-8")
    assert loaded.config.ledger.read_server_password() == "hunter-two"
    assert "hunter-two" not in repr(loaded)
    file.write_text("ledger: {server_password: {file: pw}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="without `server`"):
        load(file, environ={}, user_file=NOWHERE, system_file=NOWHERE)
