"""The decoder child: what it gives, and that nothing a file does to it reaches the parent or the next frame."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
from PIL import Image

from emwatch import errors
from emwatch.frame import StatKey
from emwatch.readers.frame_reader import read_frame
from emwatch.readers.sandbox import child_reader
from emwatch.readers.sandbox.frame_sandbox import Sandbox
from emwatch.readers.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's limits and /proc")

#: The brightest pixel of a test frame tells this function what to do to its process.
_PREPARE = """
    import os, signal, sys, threading
    import numpy as np
    from emwatch import errors

    HANG, KILL, EAT, NOISY, PRINT, WRITE, BROKEN, REFUSE, EXIT, FD1 = range(201, 211)

    def prepare(pixels, bar):
        deed = int(pixels.max())
        if deed == HANG:
            threading.Event().wait()
        if deed == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if deed == EAT:
            np.ones(2**33, np.uint8)
        if deed == NOISY:
            os.write(2, b"".join(b"line %d\\n" % n for n in range(50_000)) + b"x" * 1_000_000 + b"\\nlast")
            os._exit(9)
        if deed in (PRINT, FD1):
            print("hello from a library")
            os.write(1, b"raw hello")
        if deed == WRITE:
            with open(os.environ["CANARY"], "wb") as file:
                file.write(b"written")
        if deed == BROKEN:
            raise ZeroDivisionError("a bug")
        if deed == REFUSE:
            raise errors.Unreadable("no picture in it")
        if deed == EXIT:
            sys.exit(3)
        return np.full((2, 170, 170), pixels.mean() + (0 if bar is None else 1000 * bar), np.float32)
"""
_HANG, _KILL, _EAT, _NOISY, _PRINT, _WRITE, _BROKEN, _REFUSE, _EXIT = range(201, 210)


@pytest.fixture(name="frame")
def _frame(build: Any, written: Callable[..., Path]) -> Any:
    """Write a frame whose brightest pixel is the deed; 0 is a good frame."""

    def write(deed: int = 0, name: str = "frame.tif", tags: Any = None) -> Path:
        return written(build.tiff(np.full((24, 32), deed or 77, np.uint8), tags=tags), name)

    return write


@pytest.fixture(name="modules", scope="module")
def _modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder of modules that the child can import."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "deeds_of_a_test.py").write_text(textwrap.dedent(_PREPARE))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(name="shared", scope="module")
def _shared(modules: Path) -> Iterator[Sandbox]:
    """Return one sandbox for the tests that need nothing special of it: starting a child is what takes time here."""
    assert modules.is_dir()
    with Sandbox("deeds_of_a_test:prepare") as box:
        yield box


@pytest.fixture(name="sandbox")
def _sandbox(shared: Sandbox, modules: Path) -> Iterator[Callable[..., Sandbox]]:
    """Return the shared sandbox, or a new one where a test asks for other settings."""
    assert modules.is_dir()
    made = []

    def make(prepare: str = "deeds_of_a_test:prepare", **limits: Any) -> Sandbox:
        if prepare == "deeds_of_a_test:prepare" and not limits:
            return shared
        made.append(Sandbox(prepare, Limits(**limits)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_frame_comes_back_as_it_is_read_in_process(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path], build: Any
) -> None:
    path = frame(tags={34682: build.fei({"Image.ResolutionY": "20"})})

    actual = sandbox().read(path)

    expected = read_frame(path, lambda pixels, bar: np.full((2, 170, 170), pixels.mean() + 1000 * bar, np.float32))
    assert (expected.path, expected.sha256, expected.stat_key) == (actual.path, actual.sha256, actual.stat_key)
    assert expected.metadata == actual.metadata
    assert (actual.image_format, actual.width, actual.height, actual.pixel_type, actual.pages) == (
        "TIFF",
        32,
        24,
        "uint8",
        1,
    )
    assert actual.stat_key == StatKey.of(path.stat())
    np.testing.assert_array_equal(expected.views, actual.views)
    assert float(actual.views[0, 0, 0]) == 77 + 4000  # the bar's 4 rows reached prepare


def test_metadata_alone_comes_without_views_and_without_decoding(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path]
) -> None:
    reading = sandbox().read(frame(_BROKEN), pixels=False)

    assert reading.views.shape == (0, 170, 170)
    assert reading.views.dtype == np.float32


def test_one_child_reads_many_frames(sandbox: Callable[..., Sandbox], frame: Callable[..., Path]) -> None:
    box = sandbox()
    pids = set()
    for number in range(5):
        box.read(frame(name=f"{number}.tif"))
        pids.add(box.pid)

    assert len(pids) == 1


def test_a_frame_can_be_begun_while_the_one_before_is_classified(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path]
) -> None:
    box = sandbox()
    first, second = frame(name="1.tif"), frame(name="2.tif")

    box.begin(first)
    done = box.finish()
    box.begin(second)

    assert (done.path, box.finish().path) == (first, second)


def test_frames_are_read_one_at_a_time(sandbox: Callable[..., Sandbox], frame: Callable[..., Path]) -> None:
    box = sandbox()
    box.begin(frame())

    with pytest.raises(RuntimeError, match="one frame at a time"):
        box.begin(frame(name="other.tif"))
    assert box.finish().width == 32


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", errors.Empty), (b"II*\x00", errors.Truncated), (b"plain text", errors.NotAFrame)],
)
def test_a_frame_error_comes_back_as_the_same_class_and_message(
    sandbox: Callable[..., Sandbox], written: Callable[..., Path], data: Any, expected: type[Exception]
) -> None:
    path = written(data)
    with pytest.raises(expected) as in_process:
        read_frame(path, None)

    with pytest.raises(expected) as caught:
        sandbox().read(path)

    assert (type(caught.value), str(caught.value)) == (type(in_process.value), str(in_process.value))


def test_what_prepare_refuses_names_the_file(sandbox: Callable[..., Sandbox], frame: Callable[..., Path]) -> None:
    with pytest.raises(errors.Unreadable, match=r"frame\.tif: no picture in it"):
        sandbox().read(frame(_REFUSE))


def test_an_unforeseen_exception_is_the_files_fault_and_the_child_lives_on(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path]
) -> None:
    box = sandbox()
    box.read(frame())
    pid = box.pid

    with pytest.raises(errors.Unreadable, match="ZeroDivisionError: a bug"):
        box.read(frame(_BROKEN))

    assert box.read(frame()).width == 32
    assert box.pid == pid


@pytest.mark.parametrize(
    ("deed", "says"),
    [
        (_KILL, "was killed by SIGKILL, twice"),
        (_EXIT, "ended with status 3, twice"),
        (_HANG, "was still busy after 1 s, twice"),
        pytest.param(_EAT, "needed more than the 1024 MiB of memory it may have, twice", marks=linux),
    ],
)
def test_a_frame_that_ends_two_children_is_blamed_and_the_next_is_read(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path], deed: int, says: str
) -> None:
    box = sandbox(seconds=1.0, memory_bytes=1 << 30) if deed == _HANG else sandbox(memory_bytes=1 << 30)

    with pytest.raises(errors.ReaderDied) as caught:
        box.read(frame(deed))

    assert f"frame.tif: the decoder {says}" in str(caught.value)
    assert box.read(frame()).width == 32


def test_a_frame_that_ended_two_children_ends_one_when_it_is_tried_again(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[None] = []

    class Counted(child_reader._Child):
        def __init__(self, *arguments: Any) -> None:
            begun.append(None)
            super().__init__(*arguments)

    monkeypatch.setattr(child_reader, "_Child", Counted)
    box = sandbox(seconds=50.0)  # one of its own
    for says, children in (("twice", 2), ("again", 3), ("again", 4)):
        with pytest.raises(errors.ReaderDied, match=f"ended with status 3, {says}"):
            box.read(frame(_EXIT))
        assert len(begun) == children
    assert box.read(frame()).width == 32  # the same name, written anew
    with pytest.raises(errors.ReaderDied, match="twice"):
        box.read(frame(_EXIT))


def test_a_child_killed_between_frames_costs_no_frame(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path]
) -> None:
    box = sandbox()
    box.read(frame())
    process = psutil.Process(box.pid)
    process.kill()
    process.wait(10)

    assert box.read(frame()).width == 32
    assert box.pid != process.pid


def test_a_child_killed_in_the_middle_of_a_frame_is_replaced_and_the_frame_read(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path]
) -> None:
    box = sandbox()
    box.read(frame())
    process = psutil.Process(box.pid)
    process.suspend()
    box.begin(frame(name="2.tif"))
    process.kill()

    assert box.finish().path.name == "2.tif"


def test_of_what_a_dying_child_says_twenty_short_lines_are_kept(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path]
) -> None:
    with pytest.raises(errors.ReaderDied, match="last") as caught:
        sandbox().read(frame(_NOISY))

    said = str(caught.value).partition("(it said: ")[2]
    assert len(said.split(" | ")) == 20
    assert len(said) < 20 * 310


def test_what_a_library_prints_does_not_garble_the_answers(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path]
) -> None:
    box = sandbox()
    box.read(frame(_PRINT))

    assert box.read(frame()).width == 32


@linux
def test_the_child_can_write_no_file(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", str(tmp_path / "canary"))

    with pytest.raises(errors.Unreadable, match="File too large"):
        sandbox(seconds=19.0).read(frame(_WRITE))

    assert not (tmp_path / "canary").exists() or (tmp_path / "canary").read_bytes() == b""


@linux
def test_the_child_has_the_limits_it_was_given(sandbox: Callable[..., Sandbox], frame: Callable[..., Path]) -> None:
    box = sandbox(memory_bytes=3 << 29)
    box.read(frame())
    child = psutil.Process(box.pid)

    assert child.rlimit(psutil.RLIMIT_AS) == (3 << 29, 3 << 29)
    assert child.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
    assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert child.rlimit(psutil.RLIMIT_NOFILE) == (64, 64)
    assert Path(f"/proc/{box.pid}/oom_score_adj").read_text().strip() == "1000"
    assert child.num_threads() == 1


@linux
def test_the_child_is_small(sandbox: Callable[..., Sandbox], frame: Callable[..., Path]) -> None:
    box = sandbox("emwatch.classify.preprocess:prepare")
    box.read(frame())

    assert psutil.Process(box.pid).memory_info().rss < 80_000_000


def test_closing_ends_the_child(sandbox: Callable[..., Sandbox], frame: Callable[..., Path]) -> None:
    box = sandbox()
    box.read(frame())
    process = psutil.Process(box.pid)

    box.close()

    assert not process.is_running()
    assert box.pid is None


def test_closing_ends_a_child_that_hangs(sandbox: Callable[..., Sandbox], frame: Callable[..., Path]) -> None:
    box = sandbox()
    box.begin(frame(_HANG))
    process = psutil.Process(box.pid)

    box.close()

    assert not process.is_running()


@pytest.mark.usefixtures("modules")
@linux
@pytest.mark.parametrize("deed", [0, _HANG], ids=["idle", "hanging"])
def test_the_child_does_not_outlive_a_killed_parent(frame: Callable[..., Path], deed: int) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from emwatch.readers.sandbox.frame_sandbox import Sandbox\n"
        "box = Sandbox('deeds_of_a_test:prepare'); box.read(Path(sys.argv[1]))\n"
        "if len(sys.argv) > 2: box.begin(Path(sys.argv[2]))\n"
        "print(box.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    paths = [str(frame(name="good.tif")), *([str(frame(deed, name="bad.tif"))] if deed else [])]
    parent = subprocess.run(
        [sys.executable, "-c", script, *paths],
        stdout=subprocess.PIPE,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
    )
    pid = int(parent.stdout)
    try:
        psutil.Process(pid).wait(10)
    except psutil.NoSuchProcess:
        pass
    except psutil.TimeoutExpired:
        psutil.Process(pid).kill()
        pytest.fail("the child lives on")


@linux
def test_ctrl_c_and_term_leave_the_child_to_its_parent(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path]
) -> None:
    box = sandbox()
    box.read(frame())
    pid = box.pid
    process = psutil.Process(pid)
    process.send_signal(2)
    process.terminate()

    assert box.read(frame()).width == 32
    assert box.pid == pid


def test_a_prepare_that_cannot_be_loaded_is_said_clearly(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path]
) -> None:
    with pytest.raises(errors.EmwatchError, match="no_such_module_of_a_test") as caught:
        sandbox("no_such_module_of_a_test:prepare").read(frame())

    assert not isinstance(caught.value, errors.FrameError)


def test_a_child_that_cannot_be_made_leaves_the_sandbox_ready_for_the_next_try(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    box = sandbox(seconds=19.0)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", os.devnull + "/python")
        with pytest.raises(errors.EmwatchError, match="cannot be started"):
            box.read(frame())

    assert box.read(frame()).width == 32


@pytest.mark.parametrize("last_words", ["import os; os._exit(5)", "raise SystemExit(5)"])
def test_a_child_that_cannot_start_is_never_the_fault_of_a_frame(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path], modules: Path, last_words: str
) -> None:
    (modules / "broken_module_of_a_test.py").write_text(last_words)

    with pytest.raises(errors.EmwatchError, match="ended with status 5 before it could take a frame") as caught:
        sandbox("broken_module_of_a_test:prepare").read(frame())

    assert not isinstance(caught.value, errors.FrameError)


@linux
@pytest.mark.parametrize(
    "name", [b"Latin-\xe9.tif", "日本語\n[red].tif".encode(), b"-rf \x1b[31m.tif", b"back\\slash.tif"]
)
def test_names_that_are_no_text_reach_the_child_byte_for_byte(
    sandbox: Callable[..., Sandbox], frame: Callable[..., Path], name: bytes
) -> None:
    path = frame(name=os.fsdecode(name))

    assert sandbox().read(path).path == path


def test_exported_pictures_are_read_in_the_child(sandbox: Callable[..., Sandbox], tmp_path: Path) -> None:
    box = sandbox()
    for suffix in ("png", "jpg", "bmp", "tif"):
        path = tmp_path / f"x.{suffix}"
        Image.new("L", (64, 48), 50).save(path)

        assert (box.read(path).width, box.read(path).height) == (64, 48)


def test_the_child_imports_no_more_than_it_needs(sandbox: Callable[..., Sandbox]) -> None:
    sandbox()
    program = (
        "import sys, emwatch.readers.sandbox.child as child; child._load('emwatch.classify.preprocess:prepare');"
        "print([name for name in ('pydantic', 'sqlalchemy', 'click', 'rich', 'watchdog', 'ai_edge_litert', 'yaml', 'subprocess')"
        " if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert found.stdout.strip() == "[]"
