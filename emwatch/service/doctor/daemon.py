"""What the daemon itself says of its work: the warnings of `emwatch status`, each with what mends it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from emwatch.service.doctor.finding import Checked, Finding, Level
from emwatch.service.status import status_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.config import Config
    from emwatch.service.doctor.finding import Machine

#: Warnings that another check gives, with more to go by: how they begin, or what they hold.
_TOLD_ELSEWHERE: Final = ("alerts: ", "MB are left on the ledger's disk", "the page is not served: web.")

_PATH: Final = re.compile(r"/.*?(?=: )")
#: The command that a stopped process goes on after.
_GOES_ON: Final = re.compile(r"kill -CONT \d+$")

#: Words of a warning, and what mends it; {path} is the first file in it.
_MENDS: Final = (
    (
        "no sign of life",
        "findmnt; mount the share that hangs again. If all shares answer: systemctl restart emwatch",
    ),
    ("unavailable", "mount the directory; what was written meanwhile is found"),
    ("degraded", "emwatch doctor: see watch.limit; then: systemctl restart emwatch"),
    ("events were lost", "sudo sysctl fs.inotify.max_queued_events=131072"),
    ("locked by another program", "sudo fuser -v {path}; end the program beside emwatch that it names"),
    ("kept the ledger open for reading", "sudo fuser -v {path}; end the program beside emwatch that it names"),
    ("the disk is full", "df -h {path}; free some space there: recording goes on within seconds"),
    (
        "the disk does not take it",
        "df -h {path}; sudo dmesg | tail: a disk that fails is replaced, one that is away mounted",
    ),
    ("Read-only file system", "emwatch service install: the service may then write where its configuration says"),
    ("the last backup failed", "emwatch db backup"),
    ("the configuration was not taken over", "emwatch config check; then: systemctl reload emwatch"),
    ("the page is not served", "correct what it says; emwatch tries again by itself within a minute"),
    ("nothing is handed over to the server", "emwatch doctor: see ledger.server; emwatch docs many-microscopes"),
    ("only after a restart", "systemctl restart emwatch"),
)


def check(config: Config, machine: Machine) -> Iterator[Checked]:
    """Check the daemon; that none runs is no fault, that it was killed is one."""
    document = status_document(config, machine.now)
    findings = [_warning(each) for each in document["warnings"] if _is_told_here(each)] if document["running"] else []
    if "killed" in document["state"]:
        findings.append(
            Finding(
                "daemon",
                Level.WARNING,
                "the daemon ended without a word: killed, out of memory, or a power cut",
                "a daemon that runs or was stopped",
                "systemctl start emwatch; why it ended: journalctl -u emwatch -e",
            )
        )
    findings += list(_versions(document))
    yield Checked("daemon", str(document["state"]), tuple(findings))


def _is_told_here(warning: str) -> bool:
    return not any(each in warning for each in _TOLD_ELSEWHERE)


def _warning(text: str) -> Finding:
    mend = next((mend for words, mend in _MENDS if words in text), "emwatch status; emwatch docs operations")
    if named := _PATH.search(text):
        mend = mend.replace("{path}", shlex.quote(named[0]))
    if stopped := _GOES_ON.search(text):
        mend = stopped[0]
    return Finding("daemon", Level.WARNING, text, "a daemon without warnings", mend)


def _versions(document: dict[str, Any]) -> Iterator[Finding]:
    installed = document["versions"]["emwatch"]
    runs = (document["versions"].get("daemon") or {}).get("emwatch", installed)
    if document["running"] and runs != installed:
        yield Finding(
            "daemon",
            Level.WARNING,
            f"the daemon is emwatch {runs}, installed is {installed}",
            "the installed version",
            "systemctl restart emwatch",
        )
