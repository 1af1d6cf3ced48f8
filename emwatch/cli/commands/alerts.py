"""``emwatch alerts``: what was told and what waits; try a channel, snooze, acknowledge, try again."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from emwatch.alerts.alert import Alert
from emwatch.cli.exclusive import exclusive_ledger
from emwatch.cli.exits import Exit
from emwatch.cli.options import config_option, json_option, ledger_option, load_config, logging_options
from emwatch.cli.parameter_types import Whole
from emwatch.cli.terminal.display import (
    Column,
    counted,
    is_narrow,
    moment_texts,
    print_json,
    print_table,
    printable,
    tell_event,
)
from emwatch.clock import SystemClock
from emwatch.errors import EmwatchError
from emwatch.frame import path_to_text

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from emwatch.config import Config
    from emwatch.ledger.tellings import AlertRow
    from emwatch.service.alert_inbox import AlertRequest

_LISTED: Final = (
    Column("Alert", align="right"),
    Column("Queued", whole=True),
    Column("Channel", spare=3),
    Column("Target"),
    Column("State", whole=True, spare=2),
    Column("Why", spare=1),
    Column("File", shorten=True),
)
_DURATION: Final = re.compile(r"(\d{1,5})\s*(m|min|h|d)")
_MINUTES: Final = {"m": 1, "min": 1, "h": 60, "d": 24 * 60}


@click.group(short_help="List, try, snooze, acknowledge and retry alerts.")
def alerts() -> None:
    """
    List alerts, try a channel, snooze, acknowledge, and try again what was given up.

    The daemon may run: it does what is asked for within seconds.
    """


@alerts.command("list", short_help="List alerts, the newest first.")
@click.option("--state", type=click.Choice(["pending", "delivered", "dead"]), help="Only alerts in this state.")
@click.option("--target", metavar="NAME", help="Only alerts for this target.")
@click.option("--limit", metavar="N", type=Whole(min=1), default=50, help="At most so many; default: 50.")
@ledger_option
@config_option
@json_option
@logging_options
def list_alerts(
    state: str | None, target: str | None, limit: int, ledger: Path | None, config_file: Path | None, as_json: bool
) -> None:
    """List alerts, the newest first, with what holds them back or what went wrong."""
    from emwatch.ledger.query import LedgerReader

    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    with LedgerReader(config.ledger.path) as reader:
        rows = reader.alerts(state=state, target=target, limit=limit)
        snoozed = reader.snoozed(SystemClock().now())
    if as_json:
        print_json({"alerts": [each.document() for each in rows], "snoozed": snoozed})
    else:
        for name, until in snoozed.items():
            click.echo(
                f"snoozed until {until.astimezone():%Y-%m-%d %H:%M}: {printable(name or 'everything')}", err=True
            )
        if rows:
            queued = moment_texts([each.created_at for each in rows], SystemClock().now(), narrow=is_narrow())
            print_table(_LISTED, [_cells(each, at) for each, at in zip(rows, queued, strict=True)])
        else:
            click.echo("there are no such alerts" if state or target else "there are no alerts", err=True)
    if not rows:
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)


def _cells(row: AlertRow, queued: str) -> tuple[str, ...]:
    state = "acknowledged" if row.acknowledged_at is not None else row.state
    why = row.last_error or (f"held: {row.held}" if row.state == "pending" and row.held else row.reason)
    return str(row.id), queued, row.channel, row.target, state, why, path_to_text(row.path.name)


@alerts.command("test", short_help="Send a test alert on a channel.")
@click.argument("channel")
@config_option
@logging_options
def send_test(channel: str, config_file: Path | None) -> None:
    """Send a test alert on CHANNEL, the way real ones go; it is not recorded. Fails if it is not taken."""
    config = load_config(config_file, one_shot=True)
    settings = config.alerts.channels.get(channel)
    if settings is None:
        known = ", ".join(config.alerts.channels)
        raise click.BadParameter(f"no channel is called {channel!r}; known are {known}", param_hint="'CHANNEL'")
    at = SystemClock().now()
    text = f"test of the channel {channel}: this is how an alert arrives"
    key = f"test-{at:%Y%m%dT%H%M%S%f}"
    alert = Alert(
        0, key, channel, "emwatch", text, 0, config.ledger.path, "", 0.0, None, None, at.isoformat(), at.isoformat(), 0
    )
    began = time.monotonic()
    settings.open(lambda shown: click.echo(printable(shown.reason))).send(alert)
    click.echo(f"{printable(channel)} took it within {time.monotonic() - began:.2f} s", err=True)


@alerts.command(short_help="Try again what was given up or waits.")
@click.argument("numbers", metavar="[ALERT]...", nargs=-1, type=Whole(min=1))
@ledger_option
@config_option
@logging_options
def retry(numbers: tuple[int, ...], ledger: Path | None, config_file: Path | None) -> None:
    """Try the given alerts again now, or all that were given up or wait for a later try."""
    from emwatch.service.alert_inbox import AlertRequest

    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    _ask(config, AlertRequest("retry", numbers or None), "will be tried again")


@alerts.command(short_help="Hold a target's alerts for some time.")
@click.argument("target", required=False, default="")
@click.option("--for", "duration", metavar="TIME", help="For this long: 30m, 2h, 1d.")
@click.option("--off", is_flag=True, help="End the snooze; what was held is told.")
@ledger_option
@config_option
@logging_options
def snooze(target: str, duration: str | None, off: bool, ledger: Path | None, config_file: Path | None) -> None:
    """
    Hold the alerts of TARGET, or all of them, for some time. They are told afterwards, together.

    For example: `emwatch alerts snooze "tilted nanowires" --for 2h`.
    """
    from emwatch.service.alert_inbox import AlertRequest

    if off == (duration is not None):
        raise click.UsageError("say --for TIME or --off")
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    if target and target not in {each.name for each in config.targets}:
        known = ", ".join(each.name for each in config.targets) or "none"
        raise click.BadParameter(f"no target is called {target!r}; there are: {known}", param_hint="'TARGET'")
    until = None if duration is None else SystemClock().now() + _length(duration)
    request = AlertRequest("snooze", target=target, until=until.isoformat() if until else "")
    what = printable(target or "everything")
    _ask(config, request, f"{what}: {f'held until {until.astimezone():%Y-%m-%d %H:%M}' if until else 'told again'}")


@alerts.command(short_help="Mark alerts as seen.")
@click.argument("numbers", metavar="[ALERT]...", nargs=-1, type=Whole(min=1))
@click.option("--target", metavar="NAME", help="Acknowledge all alerts for this target.")
@click.option("--all", "everything", is_flag=True, help="Acknowledge all alerts.")
@ledger_option
@config_option
@logging_options
def ack(
    numbers: tuple[int, ...], target: str | None, everything: bool, ledger: Path | None, config_file: Path | None
) -> None:
    """Mark alerts as seen, on every channel and with their whole digest. They are then not escalated."""
    from emwatch.ledger.query import LedgerReader
    from emwatch.service.alert_inbox import AlertRequest

    if sum((bool(numbers), target is not None, everything)) != 1:
        raise click.UsageError("name alerts by the numbers of `emwatch alerts list`, or say --target NAME or --all")
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    with LedgerReader(config.ledger.path) as reader:
        known = reader.unacknowledged(target=target, ids=numbers or None)
    if not known:
        raise EmwatchError("none of these alerts was told and waits to be acknowledged; emwatch alerts list shows them")
    _ask(config, AlertRequest("acknowledge", tuple(known)), "acknowledged")


def _length(text: str) -> timedelta:
    found = _DURATION.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise click.BadParameter(f"{text!r}: expected a time such as 30m, 2h or 1d", param_hint="'--for'")
    return timedelta(minutes=int(found[1]) * _MINUTES[found[2]])


def _ask(config: Config, request: AlertRequest, done: str) -> None:
    """Do what is asked for, or hand it to the daemon, and say so."""
    from emwatch.service.alert_inbox import alert_inbox, apply, hand_over
    from emwatch.service.inbox import is_done
    from emwatch.service.lock import holder

    now: datetime = SystemClock().now()
    if holder(config.ledger.path) is None:
        with exclusive_ledger(config, what="ask again", must_exist=True) as ledger:
            alert_inbox(ledger, tell_event, lambda: now).empty()  # what waited for a daemon is older
            number = apply(ledger, request, now)
        click.echo(done if request.do == "snooze" else f"{counted(number, 'alert')} {done}", err=True)
        return
    taken = is_done(hand_over(config.ledger.path, request, now))
    click.echo(done if taken else "waits beside the ledger: emwatch does it when it comes to it", err=True)
