"""Options that several commands share, and the loading of the configuration."""

from __future__ import annotations

import functools
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from emwatch.cli import logging_setup
from emwatch.cli.lazy import importing
from emwatch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from emwatch.config import Config, Loaded
    from emwatch.ledger.server.connect import Server

    Command = TypeVar("Command", bound=Callable[..., Any])

logger = logging.getLogger(__name__)

#: Where the verbosity is kept in click's context: the top level shows tracebacks from 2 on.
VERBOSITY: Final = "emwatch.verbosity"


_SERVERS: Final = ("postgresql:", "postgresql+psycopg:", "postgres:")
_CONFIGURED: Final = "server"
_NEEDS_A_FILE: Final = (
    "is a server, and this needs a file: the ledger of a microscope. A server answers emwatch log, stats, show, tail, "
    "plot, map, sheet, report, sql, review --list, session list and session show"
)


class AnyPath(click.Path):
    """
    A path that need not exist or be readable: the command reports that, for one file among many.

    Empty text is refused: it comes from a variable that is not set, and would mean the current directory.
    """

    def __init__(self) -> None:
        super().__init__(path_type=Path, readable=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse an empty path."""
        if os.fspath(value) == "":
            self.fail("is empty; was it meant to come from a variable that is not set?", param, ctx)
        if os.fspath(value).startswith(_SERVERS):
            self.fail(_NEEDS_A_FILE, param, ctx)
        return super().convert(value, param, ctx)


class LedgerFile(AnyPath):
    """A ledger's file. ``server`` is refused: a file of that name was made where somebody meant the server."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse the word that means the configured server."""
        if os.fspath(value) == _CONFIGURED:
            self.fail(f"{_NEEDS_A_FILE}; a file of this name is ./{_CONFIGURED}", param, ctx)
        return super().convert(value, param, ctx)


class LedgerPlace(AnyPath):
    """A ledger's file, the address of a server, or ``server``: the one that is configured. The last two stay texts."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check an address."""
        if value == _CONFIGURED:
            return value
        if not os.fspath(value).startswith(_SERVERS):
            return super().convert(value, param, ctx)
        from emwatch.config.schema import server_url

        try:
            return server_url(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


ledger_option = click.option(
    "--ledger", metavar="FILE", type=LedgerFile(), help="Use this ledger instead of ledger.path."
)
config_option = click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=AnyPath(),
    help="Read this configuration file; it overrides the user's and the machine's.",
)
asked_ledger_option = click.option(
    "--ledger",
    metavar="FILE",
    type=LedgerPlace(),
    help='Use this ledger instead of ledger.path; "server": those of ledger.server, or postgresql+psycopg://... of another.',
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")


def logging_options(command: Command) -> Command:
    """Add ``-v`` and ``-q`` to a command and set up its logs; stands below the other options."""

    @click.option("-v", "--verbose", count=True, help="More messages on stderr; -vv: with tracebacks.")
    @click.option("-q", "--quiet", count=True, help="Fewer messages on stderr.")
    @functools.wraps(command)
    def with_logs(*args: Any, verbose: int, quiet: int, **kwargs: Any) -> Any:
        click.get_current_context().meta[VERBOSITY] = verbose - quiet
        logging_setup.set_up(verbosity=verbose - quiet)
        return command(*args, **kwargs)

    return with_logs  # type: ignore[return-value]  # the same signature, with two options taken off


def load_settings(
    config_file: Path | None, flags: Mapping[str, object] | None = None, *, one_shot: bool = False
) -> Loaded:
    """
    Load the configuration with its origins, log its warnings, and set up the logs as configured.

    A ``one_shot`` command is quiet unless asked: log.level is the daemon's.

    Raises:
        ConfigError: it cannot be used, or a flag puts the ledger or its backups into a watched directory.

    """
    with importing():
        from emwatch.config import load

    loaded = load(config_file, flags)
    verbosity = click.get_current_context().meta.get(VERBOSITY, 0)
    level = "warning" if one_shot else loaded.config.log.level
    logging_setup.set_up(level, loaded.config.log.format, verbosity=verbosity)
    for warning in loaded.warnings:
        logger.warning("%s", warning)
    if flags and (flags.get("ledger.path") or flags.get("ledger.backup_directory")):
        from emwatch.service.roots import refuse_watched

        refuse_watched(loaded.config)  # also to read: SQLite makes a -wal and a -shm beside what it opens
    return loaded


def load_config(
    config_file: Path | None, flags: Mapping[str, object] | None = None, *, one_shot: bool = False
) -> Config:
    """Load the configuration; see `load_settings`."""
    return load_settings(config_file, flags, one_shot=one_shot).config


def asked_ledger(config_file: Path | None, ledger: Path | str | None) -> tuple[Config, Path | Server]:
    """
    Load the configuration for a command that asks a ledger, and return what is to be asked.

    Raises:
        ConfigError: it cannot be used, or "server" is asked and none is configured.

    """
    with importing():
        import emwatch.ledger.query  # noqa: F401 - by which it will be asked
    if not isinstance(ledger, str):
        config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
        return config, config.ledger.path
    return asked_server(config_file, ledger)


def asked_server(config_file: Path | None, ledger: str) -> tuple[Config, Server]:
    """Load the configuration and return the server at an address, or the configured one; raises as `asked_ledger`."""
    with importing():
        from emwatch.ledger.server.connect import Server

    config = load_config(config_file, one_shot=True)
    url = config.ledger.server if ledger == _CONFIGURED else ledger
    if url is None:
        raise ConfigError(
            "ledger.server: is not configured; write it, or give --ledger postgresql+psycopg://USER@HOST/DATABASE"
        )
    return config, Server(url, config.ledger.read_server_password if url == config.ledger.server else str)
