"""Whether the processor has the instructions that NumPy and the classifier's engine are built with; neither is loaded."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final

from emwatch.service.doctor.finding import Checked, Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.config import Config
    from emwatch.service.doctor.finding import Machine

#: By the name of the machine (uname(2)): the line of /proc/cpuinfo and the flags on it. NumPy's wheels need x86-64-v2.
#: Measured with the default model in QEMU's emulation: its self-test passes on a Nehalem, which has these and no AVX; on a
#: Penryn (no SSE4.2) NumPy refuses to load, and on a Core 2 Duo the program ends with an illegal instruction.
_NEEDED: Final = {
    "x86_64": ("flags", ("pni", "ssse3", "sse4_1", "sse4_2", "popcnt", "cx16")),
    "aarch64": ("Features", ("asimd",)),
}


def check(_config: Config, machine: Machine) -> Iterator[Checked]:
    """Check the processor's flags. A virtual machine may hide those of its host."""
    name, flags = _described(machine)
    line, needed = _NEEDED.get(platform.machine(), ("", ()))
    missing = [each for each in needed if flags and each not in flags]
    findings = (
        Finding(
            "processor",
            Level.ERROR,
            f"{name}: without {', '.join(missing)} (the line `{line}` of /proc/cpuinfo)",
            f"a processor with {', '.join(needed)}: without them emwatch ends with an illegal instruction. The other checks "
            "need such a processor, too, and were not made",
            "run emwatch on another PC that mounts the directory; in a virtual machine pass the host's processor through "
            "(QEMU: -cpu host)",
        ),
    )
    yield Checked("processor", name, findings if missing else ())


def _described(machine: Machine) -> tuple[str, frozenset[str]]:
    """Return the processor's name and flags; no flags if they are not known."""
    name, flags = platform.machine(), ""
    try:
        lines = (machine.proc / "cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return name, frozenset()
    for each in lines:
        key, _, value = each.partition(":")
        if key.strip() == "model name":
            name = " ".join(value.split())
        if key.strip() in {"flags", "Features"}:
            flags = value
    return name, frozenset(flags.split())
