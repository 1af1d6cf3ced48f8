"""Loads the configuration: merges all sources and reports all problems at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from emwatch.config.check import check
from emwatch.config.document import Branch, Origin, Problem, leaves, read_document
from emwatch.config.schema import Config, default_ledger_path
from emwatch.config.sources import (
    from_environment,
    from_flags,
    leaf_keys,
    overlay,
    planted,
    system_config_file,
    user_config_file,
)
from emwatch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration, the origin of each value, and warnings."""

    config: Config
    origins: Mapping[str, Origin]  #: by key, e.g. ``watch.directory``; every key has one
    files: tuple[Path, ...] = ()  #: the files read, strongest first
    warnings: tuple[str, ...] = ()


def load(
    config_file: Path | None = None,
    flags: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    user_file: Path | None = None,
    system_file: Path | None = None,
) -> Loaded:
    """
    Load the configuration: flag > environment > ``config_file`` > user file > system file > default, key by key.

    Args:
        config_file: the file of ``--config``; without it, the one that ``EMWATCH_CONFIG`` names. It must exist.
        flags: values by dotted key; ``None`` values were not given.
        environ: instead of the process environment.
        user_file: instead of the user's file; need not exist.
        system_file: instead of the machine's file; need not exist.

    Raises:
        ConfigError: with every problem found, one a line, as ``FILE:LINE:COLUMN: key: what is wrong``.

    """
    environ = os.environ if environ is None else environ
    if config_file is None and environ.get("EMWATCH_CONFIG"):
        config_file = _from_home(environ["EMWATCH_CONFIG"])
    tree = _defaults(environ)
    problems: list[Problem] = []
    files: list[Path] = []
    optional = (system_file or system_config_file(), user_file or user_config_file())
    for file in (*optional, *((config_file,) if config_file else ())):
        branch, found = _from_file(file, must_exist=file is config_file)
        if branch is not None:
            tree = overlay(tree, branch)
            files.insert(0, file)
        problems += found
    environment, found, warnings = from_environment(environ)
    problems += found
    given = from_flags(flags or {})
    tree = overlay(overlay(tree, environment), given)
    config, found = check(tree)
    problems += found
    if problems or config is None:
        problems.sort(key=lambda problem: (problem.origin.source, problem.origin.order))
        raise ConfigError("\n".join(dict.fromkeys(str(problem) for problem in problems)))
    return Loaded(config, _origins(tree), tuple(files), tuple(warnings))


def load_alone(file: Path) -> Loaded:
    """Load a configuration file by itself: no other file counts, and no environment. Raises `ConfigError`."""
    nothing = file / "none"  # below a file there is nothing
    return load(file, environ={}, user_file=nothing, system_file=nothing)


def _from_home(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"environment EMWATCH_CONFIG: {text}: there is no such user; write the whole path") from error


def _defaults(environ: Mapping[str, str]) -> Branch:
    """Return the one default that depends on the environment; all others are in the schema."""
    origin = Origin("default", "in $STATE_DIRECTORY" if environ.get("STATE_DIRECTORY") else "")
    return planted("ledger.path", Branch(str(default_ledger_path(environ)), origin))


def _from_file(file: Path, *, must_exist: bool) -> tuple[Branch | None, list[Problem]]:
    origin = Origin("file", str(file))
    try:
        return read_document(file)
    except (FileNotFoundError, NotADirectoryError):
        problem = "no such file; write it (config.example.yaml explains every key) or leave out --config"
        return None, [Problem(origin, "", problem)] if must_exist else []
    except OSError as error:
        return None, [Problem(origin, "", f"cannot be read: {error.strerror or error}")]


def _origins(tree: Branch) -> Mapping[str, Origin]:
    """Return the origin of every key; all targets share one, each channel has one."""
    origins = {leaf.key: Origin("default") for leaf in leaf_keys()}
    for key, branch in leaves(tree):
        section, _, rest = key.partition(".")
        if section == "alerts" and rest:  # channels and `policy` come from one place each
            origins[f"alerts.{rest.split('.')[0]}"] = branch.origin
            continue
        known = key if key in origins else key.rpartition(".")[0]  # a secret is one key, and says where it is below it
        if known in origins:
            origins[known] = branch.origin
    return MappingProxyType(origins)
