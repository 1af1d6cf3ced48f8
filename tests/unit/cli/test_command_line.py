"""Manners every command has: help, exit codes, streams, logs."""

from __future__ import annotations

import errno
import gc
import importlib
import importlib.util
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from emwatch import __version__
from emwatch.cli import logging_setup
from emwatch.cli.exits import Exit
from emwatch.cli.lazy import importing
from emwatch.cli.main import COMMANDS, cli
from emwatch.cli.options import LedgerPlace
from emwatch.cli.terminal.display import json_text, printable
from emwatch.errors import ConfigError, EmwatchError
from emwatch.units import number_text

Run = Callable[..., Any]
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "cli.md"
HEAVY = (
    "numpy",
    "sqlalchemy",
    "pydantic",
    "rich",
    "yaml",
    "PIL",
    "watchdog",
    "ai_edge_litert",
    "platformdirs",
)


def _present(name: str) -> bool:
    return importlib.util.find_spec(COMMANDS[name].module) is not None


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            if path or _present(name):
                below = command.get_command(context, name)
                assert below is not None
                yield from _commands(below, (*path, name))


ALL = dict(_commands(cli))
PRESENT = [pytest.param(path, id=" ".join(("emwatch", *path))) for path in ALL]
LEAVES = [
    pytest.param(path, id=" ".join(path)) for path, command in ALL.items() if not isinstance(command, click.Group)
]


class TestHelp:
    def test_it_imports_nothing_heavy_and_takes_less_than_0_3_s_of_processor_time(self) -> None:
        program = (
            "import sys, time\n"
            "from emwatch.cli.main import main\n"
            "try: main(['--help'])\n"
            "except SystemExit as end: assert not end.code, end\n"
            f"heavy = sorted(set({HEAVY!r}) & set(sys.modules))\n"
            "print(heavy, time.process_time(), file=sys.stderr)\n"
        )
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        heavy, seconds = ended.stderr.strip().rsplit(" ", 1)

        assert heavy == "[]"
        assert float(seconds) < 0.3

    def test_it_lists_every_command(self, emwatch: Run) -> None:
        listed = re.findall(r"^  ([\w-]+)  +\S", emwatch("--help").stdout.split("Commands:")[1], flags=re.MULTILINE)

        assert listed == list(COMMANDS)

    @pytest.mark.parametrize("name", [name for name in COMMANDS if _present(name)])
    def test_the_table_and_the_command_itself_agree(self, name: str) -> None:
        command = ALL[(name,)]
        group_help = (command.get_short_help_str(200)).rstrip(".")

        assert group_help == COMMANDS[name].help.rstrip(".") or name in {"run", "model"}

    @pytest.mark.parametrize("path", PRESENT)
    def test_where_a_result_is_written_has_one_name_everywhere(self, path: tuple[str, ...]) -> None:
        assert "--output" not in {name for option in ALL[path].params for name in option.opts}

    @pytest.mark.parametrize("path", PRESENT)
    def test_a_ledger_option_never_takes_the_server_for_a_file(self, path: tuple[str, ...]) -> None:
        for option in [each for each in ALL[path].params if "--ledger" in each.opts]:
            assert option.type.convert("./server", option, None) == Path("server")
            if isinstance(option.type, LedgerPlace):
                assert option.type.convert("server", option, None) == "server"
                continue
            with pytest.raises(click.BadParameter, match="is a server, and this needs a file"):
                option.type.convert("server", option, None)

    @pytest.mark.parametrize("path", PRESENT)
    def test_every_command_and_option_says_what_it_does(self, path: tuple[str, ...]) -> None:
        command = ALL[path]
        silent = [each.opts for each in command.params if isinstance(each, click.Option) and not each.help]

        assert command.help
        assert "](" not in command.help, "a link of Markdown on a terminal"
        assert silent == []

    @pytest.mark.parametrize("path", PRESENT)
    def test_every_command_and_option_is_documented(self, path: tuple[str, ...]) -> None:
        text = DOCUMENT.read_text(encoding="utf-8")
        heading = f"## emwatch {' '.join(path)}".strip()
        section = text.partition(f"\n{heading}\n")[2].partition("\n## ")[0] if path else text
        missing = [
            option
            for parameter in ALL[path].params
            if isinstance(parameter, click.Option)
            for option in parameter.opts
            if option.startswith("--") and f"`{option}" not in section and f", {option}" not in section
        ]

        paragraphs = re.sub(r"[`\"]", "", section.partition("\n| Option")[0].strip()).split("\n\n")

        assert section
        assert missing == []
        assert not path or len(paragraphs) == len(set(paragraphs)), "said twice"

    @pytest.mark.parametrize("path", LEAVES)
    def test_every_command_can_say_more_or_less(self, path: tuple[str, ...]) -> None:
        assert {"-v", "-q"} <= {option for each in ALL[path].params for option in each.opts}

    def test_a_command_that_is_not_installed_does_not_break_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(COMMANDS, "model", COMMANDS["model"]._replace(module="emwatch.cli.not_there"))

        listing, asked = (CliRunner().invoke(cli, arguments) for arguments in (["--help"], ["model"]))

        assert (listing.exit_code, "model" in listing.stdout) == (0, True)
        assert asked.exit_code == 1
        assert "needs the Python module emwatch.cli.not_there" in asked.stderr

    def test_a_mistyped_command_is_answered_with_the_nearest(self) -> None:
        result = CliRunner().invoke(cli, ["clasify"])

        assert result.exit_code == Exit.USAGE
        assert "Did you mean 'classify'?" in result.stderr

    @pytest.mark.parametrize("word", ["help", "version"])
    def test_an_option_that_is_written_like_a_command_is_named(self, word: str) -> None:
        assert f"Did you mean '--{word}'?" in CliRunner().invoke(cli, [word]).stderr
        assert "--version" not in CliRunner().invoke(cli, ["db", word]).stderr

    def test_the_version_is_the_packages(self, emwatch: Run) -> None:
        assert emwatch("--version").stdout == f"emwatch {__version__}\n"


class TestEnds:
    """What a command raises becomes an exit code and one message."""

    @pytest.fixture(name="ending")
    def _ending(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
        from emwatch.cli.options import logging_options

        def run(error: BaseException, *arguments: str) -> Any:
            @click.command()
            @logging_options
            def fails() -> None:
                raise error

            monkeypatch.setattr("emwatch.cli.commands.meta.meta", fails)
            return CliRunner().invoke(cli, ["meta", *arguments])

        return run

    def test_an_error_of_ours_is_one_line_and_1(self, ending: Run) -> None:
        result = ending(EmwatchError("a\nb\x1b: expected c; do d"))

        assert (result.exit_code, result.stdout, result.stderr) == (1, "", "error: a\\nb\\x1b: expected c; do d\n")

    def test_a_bad_configuration_is_all_its_lines_and_78(self, ending: Run) -> None:
        result = ending(ConfigError("f:1:2: a\nf:3:4: b"))

        assert (result.exit_code, result.stderr) == (78, "error: f:1:2: a\nf:3:4: b\n")

    def test_the_trace_is_shown_only_on_request(self, ending: Run) -> None:
        traced = [("Traceback" in ending(EmwatchError("x"), *flags).stderr) for flags in ([], ["-v"], ["-v", "-v"])]

        assert traced == [False, False, True]

    def test_an_interruption_is_130(self, ending: Run) -> None:
        assert ending(KeyboardInterrupt()).exit_code == 130

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (OSError(errno.ENOSPC, "full"), "standard output: full"),
            (OSError(errno.ENOSPC, "full", "a\nb"), r"a\nb: full"),
            (OSError(errno.EINVAL, "odd"), "OSError: odd"),
            (TimeoutError("late"), "TimeoutError: late"),
        ],
    )
    def test_standard_output_is_blamed_only_for_what_it_may_have_done(
        self, ending: Run, error: OSError, told: str
    ) -> None:
        assert (ending(error).exit_code, ending(error).stderr) == (1, f"error: {told}\n")

    def test_a_closed_pipe_is_quiet(self, ending: Run) -> None:
        result = ending(BrokenPipeError())

        assert (result.exit_code, result.stderr) == (0, "")

    def test_ctrl_c_ends_the_real_program_with_130(self, tmp_path: Path) -> None:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "emwatch",
                "simulate",
                "--out",
                str(tmp_path / "frames"),
                "--rate",
                "0.001",
                "--quiet",
            ],
            stderr=subprocess.PIPE,
            text=True,
            # A shell that runs the tests in the background has them ignore Ctrl-C; nobody's terminal does.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread runs here
        )
        try:
            deadline = time.monotonic() + 60
            while not list(tmp_path.glob("frames/*.tif")) and time.monotonic() < deadline:
                time.sleep(0.05)  # the first frame is there: the program now waits for the time of the second
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=30)
        finally:
            process.kill()

        assert (process.returncode, stderr) == (130, "interrupted\n")

    def test_the_codes_are_documented(self) -> None:
        text = DOCUMENT.read_text(encoding="utf-8")

        assert {int(code) for code in re.findall(r"^\| `(\d+)` \|", text, flags=re.MULTILINE)} == set(map(int, Exit))


class TestLogs:
    def _say(self, emwatch_logger: str = "emwatch.test") -> None:
        logging.getLogger(emwatch_logger).error("a file\n\x1b[31m.tif")
        logging.getLogger(emwatch_logger).info("quiet")

    @pytest.fixture(name="root_as_before", autouse=True)
    def _root_as_before(self) -> Iterator[None]:
        root, ours = logging.getLogger(), logging.getLogger("emwatch")
        before = (list(root.handlers), root.level, ours.level)
        yield
        root.handlers[:], root.level = before[0], before[1]
        ours.setLevel(before[2])

    def test_text_is_one_line_an_event(self, capsys: pytest.CaptureFixture[str]) -> None:
        logging_setup.set_up("info")
        self._say()

        assert [line[8:] for line in capsys.readouterr().err.splitlines()] == [
            r" error   a file\n\x1b[31m.tif",
            " info    quiet",
        ]

    def test_json_is_one_object_an_event(self, capsys: pytest.CaptureFixture[str]) -> None:
        logging_setup.set_up("info", "json")
        self._say()
        events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]

        assert [(each["level"], each["logger"], each["message"]) for each in events] == [
            ("error", "emwatch.test", "a file\n\x1b[31m.tif"),
            ("info", "emwatch.test", "quiet"),
        ]

    @pytest.mark.parametrize(
        ("base", "verbosity", "lines"),
        [("warning", 0, 1), ("warning", 1, 2), ("info", 0, 2), ("info", -1, 1), ("error", -3, 1)],
    )
    def test_v_and_q_count_from_the_level(
        self, capsys: pytest.CaptureFixture[str], base: str, verbosity: int, lines: int
    ) -> None:
        logging_setup.set_up(base, verbosity=verbosity)
        self._say()

        assert len(capsys.readouterr().err.splitlines()) == lines

    @pytest.mark.parametrize("is_ours", [True, False])
    def test_the_journal_gets_priorities_and_no_times(self, tmp_path: Path, is_ours: bool) -> None:
        file = tmp_path / "stderr"
        with file.open("wb") as stream:
            status = os.fstat(stream.fileno())
            subprocess.run(
                [sys.executable, "-m", "emwatch", "config", "check"],
                stdout=subprocess.DEVNULL,
                stderr=stream,
                env={
                    **os.environ,
                    "EMWATCH_OOPS": "1",
                    "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino if is_ours else 1}",
                },
                check=True,
            )
        line = file.read_text(encoding="utf-8").splitlines()[0]

        assert re.fullmatch(r"<4>EMWATCH_OOPS: .*" if is_ours else r"\d\d:\d\d:\d\d warning EMWATCH_OOPS: .*", line)


class TestText:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("plain µm 試料", "plain µm 試料"),
            ("a\x1b]0;x\x07", r"a\x1b]0;x\x07"),
            ("a\r\n\tb", r"a\r\n\tb"),
            ("caf\udce9", r"caf\xe9"),
            ("\u202egpj.exe", r"\u202egpj.exe"),
            ("\x9b31m", r"\x9b31m"),
            ("\u2028", r"\u2028"),
        ],
    )
    def test_what_steers_a_terminal_is_escaped(self, text: str, shown: str) -> None:
        assert printable(text) == shown

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (50000.0, "50,000"),
            (2.5, "2.5"),
            (7.34375, "7.3438"),
            (12345.6, "12,346"),
            (-0.012, "-0.012"),
            (6100.00001, "6,100"),
            (0.0, "0"),
            (-8.943928478e-05, "-0.000089439"),
        ],
    )
    def test_numbers_are_written_for_people(self, value: float, text: str) -> None:
        assert number_text(value) == text

    def test_json_never_holds_what_other_programs_cannot_read(self) -> None:
        with pytest.raises(ValueError, match="not JSON compliant"):
            json_text({"x": float("nan")})

    @pytest.mark.parametrize(
        "text", ["c1 \x9b31m", "\x7f", "a\u2028b\u2029", "\u202egpj", "\x85", "\U000e0001", "µm 試料 🔬\xa0"]
    )
    def test_json_steers_no_terminal_stays_one_line_and_means_the_same(self, text: str) -> None:
        line = json_text({text: [text]}, indent=None)

        assert json.loads(line) == {text: [text]}
        assert len(line.splitlines()) == 1
        assert printable(line) == line

    def test_json_is_left_readable(self) -> None:
        assert json_text("µm 試料 🔬", indent=None) == '"µm 試料 🔬"'

    def test_an_ascii_terminal_does_not_end_the_program(self, emwatch: Run, tmp_path: Path) -> None:
        file = tmp_path / "µ.yaml"
        file.write_text("targets: [{name: µ试}]", encoding="utf-8")

        table, document = (
            emwatch("config", "check", "--config", file, *flags, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
            for flags in ([], ["--json"])
        )

        assert (table.returncode, document.returncode) == (0, 0)
        assert json.loads(document.stdout)["values"]["targets"]["value"][0]["name"] == "µ试"

    def test_colour_only_where_a_terminal_is_and_no_one_objects(
        self, emwatch: Run, on_terminal: Run, tmp_path: Path
    ) -> None:
        colour = re.compile(r"\x1b\[[0-9;]*3[0-9]m")
        arguments = ("config", "check", tmp_path / "none")

        assert colour.search(on_terminal(*arguments))
        assert not colour.search(on_terminal(*arguments, NO_COLOR="1"))
        assert "\x1b" not in emwatch(*arguments).stdout + emwatch(*arguments).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="file names are UTF-16 there")
def test_a_ledger_whose_name_is_no_text_is_told_as_paths_are_told_elsewhere(emwatch: Run, tmp_path: Path) -> None:
    ledger = os.fsdecode(os.fsencode(tmp_path) + b"/led\xffger")
    (tmp_path / "frames").mkdir()
    done = emwatch("run", "--once", "--engine", "stub", "--ledger", ledger, "--json", tmp_path / "frames")

    assert json.loads(done.stdout)["ledger"] == f"{tmp_path}/led\\xffger"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's way of closing a stream")
def test_a_standard_output_that_was_closed_is_no_failure() -> None:
    line = [*("sh", "-c", 'exec "$@" >&-', "sh"), *(sys.executable, "-m", "emwatch", "config", "check")]
    done = subprocess.run(line, stderr=subprocess.PIPE, check=False)

    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)


@pytest.mark.slow
def test_the_demo_touches_nothing_that_is_configured_on_this_pc(emwatch: Run, tmp_path: Path) -> None:
    watched, ledger = tmp_path / "frames", tmp_path / "ledger.sqlite3"
    watched.mkdir()
    (watched / "note.txt").write_text("of a real microscope", encoding="utf-8")
    user = tmp_path / "home" / ".config" / "emwatch"
    user.mkdir(parents=True)
    (user / "config.yaml").write_text("watch: {exclude: ['*']}\n", encoding="utf-8")

    done = emwatch(
        *("demo", "--frames", "1", "--rate", "20"),
        EMWATCH_LEDGER_PATH=str(ledger),
        EMWATCH_WATCH_DIRECTORY=str(watched),
    )

    assert done.returncode == 0
    assert "frame_0001" in done.stdout
    assert str(watched) not in done.stdout + done.stderr
    assert not ledger.exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes, which a locale makes text of")
def test_a_file_is_the_same_one_in_every_locale(emwatch: Run, tmp_path: Path) -> None:
    frames, ledger = tmp_path / "frames", tmp_path / "ledger"
    frames.mkdir()
    (frames / os.fsdecode("Körner \xb5m.tif".encode())).write_text("no frame", encoding="ascii")
    (frames / os.fsdecode(b"\xff\\.tif")).write_text("nor this", encoding="ascii")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for environ in (ascii_only, {"PYTHONUTF8": "1"}, ascii_only):
        done = emwatch("run", "--once", "--engine", "stub", "--ledger", ledger, frames, **environ)
        assert done.returncode == 0, done.stderr

    for environ in (ascii_only, {"PYTHONUTF8": "1"}):
        asked = emwatch("log", "--all", "--json", "--ledger", ledger, **environ)
        assert {row["path"] for row in json.loads(asked.stdout)} == {
            f"{frames}/Körner \xb5m.tif",
            f"{frames}/\\xff\\\\.tif",
        }
        assert emwatch("reconcile", frames, "--ledger", ledger, **environ).returncode == 0


def test_garbage_is_collected_again_after_an_import_that_failed() -> None:
    enabled = []
    with suppress(ModuleNotFoundError), importing():
        enabled.append(gc.isenabled())
        importlib.import_module("emwatch.none_such")
    assert enabled == [False]
    assert gc.isenabled()


def test_only_what_imports_made_is_left_uncollected() -> None:
    before = gc.get_freeze_count()
    with importing():
        importlib.import_module("emwatch.cli.lazy")  # is there already
    assert gc.get_freeze_count() == before
