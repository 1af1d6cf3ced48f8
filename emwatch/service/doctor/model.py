"""Whether the model in use computes what its maker computed: its self-test, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from emwatch.classify.bundles.store import in_use
from emwatch.errors import ModelError
from emwatch.service.doctor.finding import Checked, Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.classify.bundles.store import InUse
    from emwatch.config import Config
    from emwatch.service.doctor.finding import Machine

#: The default model takes a second; an fp32 one on a slow PC some more.
_LONGEST_S: Final = 120.0
_PASSES: Final = "a model that passes its self-test"
_CORRECT: Final = (
    "emwatch model verify; correct model.bundle, or leave it out: then the model that comes with emwatch is used"
)
_VERIFY: Final = "emwatch model verify; or go back to the model before: emwatch model rollback"


def check(config: Config, machine: Machine) -> Iterator[Checked]:
    """Run the self-test: an engine that dies of a signal ends the child alone."""
    try:
        used = in_use(config)
    except ModelError as error:
        yield Checked("model", "none", (Finding("model", Level.ERROR, str(error), _PASSES, _VERIFY),))
        return
    finding = _tested(used, config, machine)
    what = "the stub, which classifies nothing" if config.model.engine == "stub" else os.fspath(used.directory)
    yield Checked("model", f"{what}: {'fails' if finding else 'passes'} its self-test", (finding,) if finding else ())


def _tested(used: InUse, config: Config, machine: Machine) -> Finding | None:
    mend = _VERIFY if config.model.bundle is None else _CORRECT
    job = {
        "directory": os.fspath(used.directory),
        "sha256": used.sha256,
        "engine": config.model.engine,
        "threads": config.model.threads,
    }
    try:
        ended = subprocess.run(
            [*machine.self_test, json.dumps(job)], capture_output=True, text=True, timeout=_LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding("model", Level.ERROR, f"no result after {_LONGEST_S:.0f} s", _PASSES, mend)
    if ended.returncode == 0:
        return None
    if ended.returncode < 0:
        return _killed(-ended.returncode, config.model.engine)
    last = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
    return Finding("model", Level.ERROR, last, _PASSES, mend)


def _killed(number: int, engine: str) -> Finding:
    name = str(number)
    with suppress(ValueError):
        name = signal.Signals(number).name
    mend = {
        signal.SIGILL: "run emwatch on a PC with a newer processor (emwatch doctor -v names this one); in a virtual machine pass the host's processor through",
        signal.SIGKILL: "free some memory: the system ended the process, most likely as it ran out of memory",
    }.get(signal.Signals(number), "pip install --force-reinstall ai-edge-litert")
    what = " (an instruction that this processor does not have)" if number == signal.SIGILL else ""
    return Finding("model", Level.ERROR, f"the engine {engine} died of {name}{what}", _PASSES, mend)
