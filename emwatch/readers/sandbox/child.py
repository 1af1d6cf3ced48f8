"""
The decoder child: reads the frames that its parent names on standard input, within limits it sets itself.

Started by `sandbox` as ``python -m emwatch.readers.sandbox.child``. It ends when its input ends, so it never outlives its parent,
and it imports little: numpy, Pillow, the readers and the module that prepares the views.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emwatch.readers.frame_reader import Prepare
    from emwatch.readers.sandbox.limits import Limits

#: From a file and what is asked of it to a reply; raises `errors.FrameError`.
Answer: TypeAlias = "Callable[[Path, dict[str, Any]], tuple[dict[str, Any], bytes]]"

#: Exit status of a child that ran out of the memory it may have.
OUT_OF_MEMORY: Final = 77

#: A child that outlives its parent in the middle of a frame ends itself this much after the frame's time.
_GRACE_S: Final = 5.0
_FEW_FILES: Final = 64
_PR_SET_PDEATHSIG: Final = 1


def main() -> int:
    """Serve frames until the input ends."""
    return serve(_prepared)


def serve(prepared: Callable[[dict[str, Any], Limits], Answer], niceness: int = 0) -> int:
    """
    Answer requests until the input ends; ``prepared`` loads what answering takes, before the limits are set.

    ``niceness``: how far other programs come first, 0 to 19.
    """
    if hasattr(os, "nice"):
        os.nice(niceness)
    # Ctrl-C and the service manager's TERM go to the whole group; the parent decides, and its end is the end of input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    requests, replies = sys.stdin.buffer, _private_stdout()
    settings: dict[str, Any] = json.loads(sys.argv[1])

    from emwatch.errors import EmwatchError  # the signals first.
    from emwatch.readers.sandbox.limits import Limits
    from emwatch.readers.sandbox.wire import receive, send

    limits = Limits(**settings["limits"])
    _die_with_parent(settings["parent"])
    try:
        answer = prepared(settings, limits)
    except (ImportError, AttributeError, ValueError, EmwatchError) as error:
        send(replies, {"failed": f"{type(error).__name__}: {error}"})
        return 1
    _confine(limits)
    send(replies, {"ready": os.getpid()})
    while message := receive(requests):
        _arm(limits.seconds + _GRACE_S)
        try:
            _answer(replies, message[0], answer)
        except MemoryError:
            # Whatever is left of this process is not to be trusted; the parent starts another.
            os._exit(OUT_OF_MEMORY)
        _arm(0)
    return 0


def _prepared(settings: dict[str, Any], limits: Limits) -> Answer:
    from emwatch.readers.frame_reader import read_frame  # the signals first.
    from emwatch.readers.sandbox.wire import reading_as_message

    name = settings["prepare"]
    try:
        prepare = _load(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{name}: {type(error).__name__}: {error}") from error

    def answer(path: Path, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        return reading_as_message(read_frame(path, prepare if request["pixels"] else None, limits))

    return answer


def _answer(replies: BinaryIO, request: dict[str, Any], answer: Answer) -> None:
    from emwatch import errors  # imported by `serve` already.
    from emwatch.frame import path_to_text
    from emwatch.readers.sandbox.wire import error_as_message, send, text_as_path

    path = text_as_path(request["path"])
    try:
        header, payload = answer(path, request)
    except errors.FrameError as error:
        header, payload = error_as_message(error), b""
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a hostile file provokes is that file's fault, and its row says so.
        reason = f"{path_to_text(path)}: cannot be decoded ({type(error).__name__}: {str(error)[:200]}); save the frame again"
        header, payload = error_as_message(errors.Unreadable(reason)), b""
    send(replies, header, payload)


def _private_stdout() -> BinaryIO:
    """Keep standard output for replies: whatever a library prints goes to standard error."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return replies


def _load(name: str) -> Prepare:
    module, _, function = name.partition(":")
    if not function:
        raise ValueError("expected module:function")
    prepare: Prepare = getattr(importlib.import_module(module), function)
    return prepare


def _arm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)  # SIGALRM ends the process


def _die_with_parent(parent: int) -> None:
    """Ask Linux for a kill at the parent's death, in case it comes in the middle of a frame."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # numpy has loaded it already.

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def _confine(limits: Limits) -> None:
    """Take away what decoding does not need, if the system can: memory, writing files, core dumps, many files."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:  # noqa: PTH123 - pathlib is slower to no end.
            score.write("1000")  # when memory runs out, this process goes first and not the daemon
    except OSError:
        pass  # not Linux, or not ours to say
    try:
        import resource  # POSIX only.
    except ImportError:
        return
    for name, bound in (
        ("RLIMIT_AS", limits.memory_bytes),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NOFILE", _FEW_FILES),
    ):
        which = getattr(resource, name, None)
        if which is None:
            continue
        hard = resource.getrlimit(which)[1]
        soft = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        try:
            resource.setrlimit(which, (soft, soft))
        except (ValueError, OSError):
            continue  # macOS refuses some; the wall time still holds


if __name__ == "__main__":
    sys.exit(main())
