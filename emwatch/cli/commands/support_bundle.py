"""``emwatch support-bundle``: a ZIP file for whoever helps, without secrets."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import click

from emwatch.cli.options import AnyPath, LedgerFile, config_option, load_settings, logging_options
from emwatch.cli.output_file import refuse_watched_output
from emwatch.cli.terminal.display import Column, print_table
from emwatch.clock import SystemClock
from emwatch.errors import ConfigError, EmwatchError


@click.command(short_help="Collect facts for whoever helps you, without secrets.")
@click.option(
    "--out", metavar="FILE", type=AnyPath(), help="Write this ZIP file; default: emwatch-support-TIME.zip here."
)
@click.option("--with-paths", is_flag=True, help="Leave names of folders, frames, machine and users as they are.")
@click.option("--ledger", type=LedgerFile(), help="Describe this ledger instead of ledger.path.")
@config_option
@logging_options
def support_bundle(out: Path | None, with_paths: bool, ledger: Path | None, config_file: Path | None) -> None:
    """
    Collect facts for whoever helps you into a ZIP file, and print what is in it. Nothing is sent.

    Configuration, status, findings of the doctor, versions, the schema of the ledger without its rows, and the last lines of
    the service's log. Values of alert channels, tokens and passwords are never in it; names of folders, frames, machine and
    users only with --with-paths. Have a look at it before you pass it on.
    """
    now = SystemClock().now()
    target = out or Path(f"emwatch-support-{now:%Y%m%dT%H%M%SZ}.zip")
    if os.path.lexists(target):
        raise EmwatchError(f"{target}: is there already; give another --out")
    from emwatch.service.support import parts_without_configuration, support_parts

    try:
        loaded = load_settings(config_file, {"ledger.path": ledger}, one_shot=True)
    except ConfigError as error:
        parts = parts_without_configuration(error)
    else:
        refuse_watched_output(loaded.config, target)
        parts = support_parts(loaded, now.astimezone(), with_paths=with_paths)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened, zipfile.ZipFile(opened, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in parts:
            archive.writestr(part.name, part.text)
    columns = [Column("File", whole=True), Column("Bytes", align="right"), Column("Holds")]
    print_table(columns, [[part.name, f"{len(part.text.encode()):,}", part.about] for part in parts])
    click.echo(f"written to {target}", err=True)
