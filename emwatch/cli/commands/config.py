"""``emwatch config``: check the configuration and show the origin of each value."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.options import AnyPath, config_option, json_option, load_settings, logging_options
from emwatch.cli.terminal.display import Column, print_json, print_table, printable, tell_warning
from emwatch.errors import ConfigError, ModelError
from emwatch.frame import path_to_text
from emwatch.shipped import shipped
from emwatch.targets.conditions import may_hold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.config import Config, Loaded


@click.group(short_help="Check the configuration and show where each value comes from.")
def config() -> None:
    """Check the configuration and show where each value comes from."""


@config.command(short_help="Check the configuration; show every value and its origin.")
@click.argument("directory", required=False, type=AnyPath())
@config_option
@json_option
@logging_options
def check(directory: Path | None, config_file: Path | None, as_json: bool) -> None:
    """
    Check the configuration; show every value and its origin.

    DIRECTORY replaces watch.directory, as in "emwatch run DIRECTORY". Mistakes are shown with FILE:LINE:COLUMN; the exit
    code is then 78. A value that is valid but will not work here, such as a missing directory, is a warning.
    """
    try:
        loaded = load_settings(config_file, {"watch.directory": directory}, one_shot=True)
        from emwatch.service.roots import checked_roots

        if loaded.config.watch.directory:
            checked_roots(loaded.config)
    except ConfigError as error:
        if as_json:
            print_json({"valid": False, "problems": str(error).splitlines(), "values": {}, "warnings": []})
        raise
    warnings = [*loaded.warnings, *_doubts(loaded.config)]
    values = dict(_values(loaded))
    if as_json:
        shown = {key: {"value": value, "origin": str(loaded.origins[key])} for key, value in values.items()}
        files = [path_to_text(file) for file in loaded.files]
        print_json({"valid": True, "files": files, "values": shown, "warnings": warnings})
        return
    columns = [Column("Key", whole=True), Column("Value", style="bold"), Column("From", style="dim")]
    print_table(columns, [[key, _text(value), str(loaded.origins[key])] for key, value in values.items()])
    for warning in warnings[len(loaded.warnings) :]:  # the others were logged on loading
        tell_warning(warning)
    read = ", ".join(printable(file) for file in loaded.files) or "no file, defaults only"
    click.echo(f"the configuration is valid ({read})", err=True)


@config.command(short_help="Print the example configuration, every key with its default.")
@logging_options
def example() -> None:
    """
    Print the example configuration: every key with its default and what it means.

    For example: `emwatch config example > lab.yaml`.
    """
    click.echo(shipped("config.example.yaml").read_text(encoding="utf-8"), nl=False)


def _values(loaded: Loaded) -> Iterator[tuple[str, Any]]:
    """Yield every key with its value as plain data."""
    document: dict[str, Any] = {
        name: section.model_dump(mode="python") if hasattr(section, "model_dump") else section
        for name, section in loaded.config
    }
    document["targets"] = [target.model_dump(mode="python", exclude_none=True) for target in loaded.config.targets]
    for key in loaded.origins:
        section, _, name = key.partition(".")
        if section == "alerts" and name in loaded.config.alerts.channels:
            yield key, loaded.config.alerts.channels[name].model_dump(mode="python")
        else:
            yield key, document[section][name] if name else document[section]


def _text(value: Any) -> str:
    """Write a value as it would stand in the file, near enough for people."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(each)}" for key, each in value.items())
    if isinstance(value, (list, tuple)):
        separator = "; " if any(isinstance(each, dict) for each in value) else ", "
        return separator.join(_text(each) for each in value) or "[]"
    if isinstance(value, Path):
        return path_to_text(value)
    if isinstance(value, float):
        return f"{value:g}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value) or '""'


def _doubts(config: Config) -> Iterator[str]:
    """Yield a warning for each value that is valid but will not work on this machine."""
    if not config.watch.directory:
        yield "watch.directory: not given; `emwatch run` needs it there, or as DIRECTORY"
    if not config.watch.include:
        yield 'watch.include: is empty, so no file is looked at; leave it out, or write ["*"]'
    for key, patterns in (("include", config.watch.include), ("exclude", config.watch.exclude)):
        yield from (f"watch.{key}: {doubt}" for pattern in patterns for doubt in _doubts_about_pattern(pattern))
    for directory in config.watch.directory:
        yield from _doubts_about_directory(directory, config)
    yield from _doubts_about_ledger(config.ledger.path)
    yield from _doubts_about_server(config)
    yield from _doubts_about_bundle(config)
    yield from _doubts_about_targets(config)
    for name, channel in config.alerts.channels.items():
        yield from (f"alerts.{name}.{doubt}" for doubt in channel.doubts())
    if trouble := config.web.trouble():
        yield f"the page will not be served: {trouble}"


def _doubts_about_pattern(pattern: str) -> Iterator[str]:
    """Yield what a pattern of names hardly means: several patterns in one text, which fits no file."""
    several = re.split(r"[\s,;|]+(?=\*)", pattern)
    if len(several) > 1:
        meant = ", ".join(f'"{each}"' for each in several)
        yield f"{pattern!r} is one pattern, which hardly any file fits; for several write a list: [{meant}]"
    elif re.search(r"\{[^}]*,", pattern):
        yield f'{pattern!r}: braces stand for themselves; write a list: ["*.tif", "*.jpg"]'


def _doubts_about_directory(directory: Path, config: Config) -> Iterator[str]:
    from emwatch.filesystem import file_system_type, lacks_events

    place = path_to_text(directory)
    try:
        os.scandir(directory).close()
    except OSError as error:
        yield f"watch.directory: {place}: {error.strerror or error}; it is waited for"
        return
    if not os.access(directory, os.X_OK):
        yield f"watch.directory: {place}: may not be entered by this user"
    kind = file_system_type(directory)
    if config.watch.mode == "events" and lacks_events(kind):
        yield f"watch.mode: {place} is on {kind}, where new files raise no events; write auto or poll"


def _doubts_about_ledger(path: Path) -> Iterator[str]:
    from emwatch.filesystem import crosses_network, file_system_type

    if crosses_network(kind := file_system_type(path.parent)):
        yield f"ledger.path: {path_to_text(path)} is on {kind}: it works without a WAL there, but a local disk is safer"
    folder = path.parent
    while not os.path.lexists(folder) and folder != folder.parent:  # missing folders are made at the first start
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK) or (os.path.lexists(path) and not os.access(path, os.W_OK)):
        yield f"ledger.path: {path_to_text(path)}: may not be written by this user"


def _doubts_about_server(config: Config) -> Iterator[str]:
    """Yield what keeps this machine from asking the server; it is not asked here, which may take long."""
    if config.ledger.server is None:
        return
    if find_spec("psycopg") is None:
        yield "ledger.server: needs psycopg, which is not installed: pip install 'emwatch[postgres]'"
    password = config.ledger.server_password
    if password is not None and (trouble := password.trouble()):
        yield f"ledger.server_password: {trouble}"


def _doubts_about_bundle(config: Config) -> Iterator[str]:
    from emwatch.classify.bundles.bundle import CARD
    from emwatch.classify.bundles.store import in_use

    if config.model.engine == "stub":
        return
    try:
        bundle = in_use(config).directory
    except ModelError as error:
        yield f"model.bundle: {error}"
        return
    if not (bundle / CARD).is_file():
        yield f"model.bundle: {path_to_text(bundle)}: no model bundle there (no {CARD})"


def _doubts_about_targets(config: Config) -> Iterator[str]:
    for target in config.targets:
        if target.asks_nothing:
            sure = f" of whose category the model is sure (min_probability {target.minimum(''):g})"
            yield (
                f"target {target.name!r}: has no condition, so every frame{sure if target.asks_probability else ''} meets it; "
                "add a `category`, a `magnification` or another condition"
            )
        for pattern in target.path:
            if config.watch.directory and not any(may_hold(pattern, each) for each in config.watch.directory):
                yield f"target {target.name!r}: path {pattern}: lies in no watched directory, so no frame meets it"
    if not any(each.learned for each in config.targets):
        return
    from emwatch.teaching.doubts import doubts, space_in_use
    from emwatch.teaching.store import TargetStore

    learned, troubles = TargetStore(config.ledger.path).survey()
    yield from troubles.values()
    try:
        space = space_in_use(config)
    except ModelError:
        return  # said of the bundle
    yield from doubts(config.wanted(), learned, space)
