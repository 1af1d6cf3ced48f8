"""`emwatch init`: what it makes of samples, by flags and on a terminal; the configuration is valid and runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emwatch.config import load
from emwatch.simulate.microscope import Microscope

Run = Callable[..., subprocess.CompletedProcess[str]]


def loaded(file: Path) -> Any:
    nothing = file.with_name("none")
    return load(file, environ={}, user_file=nothing, system_file=nothing).config


def samples(folder: Path, vendor: str = "zeiss", frames: int = 2) -> Path:
    list(Microscope(folder, frames, rate=0, vendor=vendor).run())
    return folder


#: By folder of real frames: the maker that is named, the patterns that must be there, the endings of texts.
MAKERS = {
    "FEI_TFS": ("Thermo Fisher", {"*.tif"}, set()),
    "FEI_XL": ("Philips/FEI", {"*.tif"}, set()),
    "Hitachi": ("Hitachi", {"*.tif"}, {"*.txt"}),
    "JEOL": ("JEOL", {"*.tif", "*.bmp", "*.jpg"}, {"*.txt"}),
    "Tescan": ("Tescan", {"*.tif"}, set()),
    "Zeiss_LEO": ("Zeiss", {"*.tif"}, set()),
    "ImageJ_export": ("ImageJ export", {"*.tif"}, set()),
    "Olympus_SIS_analySIS_tag_33560": ("Olympus SIS", {"*.tif"}, set()),
    "Phenom": ("Phenom", {"*.tif"}, set()),
    "data_bar_only": ("SEC (1)", {"*.tif", "*.jpg", "*.jpeg", "*.png", "*.bmp"}, {"*.txt"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("maker", MAKERS)
def test_on_copies_of_a_makers_frames_the_configuration_is_right_and_runs(
    emwatch: Run, real_frames: Path, tmp_path: Path, maker: str
) -> None:
    name, frames, texts = MAKERS[maker]
    watched = tmp_path / maker
    shutil.copytree(real_frames / maker, watched)
    (watched / "notes.docx").write_bytes(b"PK\3\4")
    config, ledger = tmp_path / "lab.yaml", tmp_path / "state" / "ledger.sqlite3"

    made = emwatch("init", watched, "--out", config, "--category", "Powder", "--ledger", ledger)
    checked = emwatch("config", "check", "--config", config)
    ran = emwatch("run", "--once", "--json", "--config", config)

    assert made.returncode == checked.returncode == 0, made.stderr + checked.stderr
    assert name in made.stderr
    assert ".docx (1)" in made.stderr
    include = set(loaded(config).watch.include)
    assert include >= frames | texts
    assert not {"*.txt", "*.hdr"} & include - texts
    counts = json.loads(ran.stdout)
    pictures = [each for each in watched.iterdir() if f"*{each.suffix.lower()}" in frames | {"*.tiff"}]
    assert (counts["recorded"], counts["failed"]) == (len(pictures), 0), ran.stderr


class TestHabits:
    def test_unfinished_names_texts_and_other_files_are_recognised(self, emwatch: Run, tmp_path: Path) -> None:
        watched = samples(tmp_path / "frames", "hitachi")
        frame = next(watched.glob("*.tif"))
        for name in ("a.tif.filepart", "~b.tif", "spectrum.spc", "report.pdf", "movie.temp", "x.lock"):
            (watched / name).write_bytes(b"something")
        (watched / "today").mkdir()
        shutil.copy(frame, watched / "today" / "UPPER.TIF")

        made = emwatch("init", watched, "--out", tmp_path / "lab.yaml")
        watch = loaded(tmp_path / "lab.yaml").watch

        assert made.returncode == 0, made.stderr
        assert set(watch.include) == {"*.tif", "*.tiff", "*.txt"}
        assert {"*.filepart", "~*", "*.temp", "*.lock", ".*", "*.tmp"} <= set(watch.exclude)
        assert ".spc (1)" in made.stderr

    @pytest.mark.parametrize("others", [(), ("notes.docx", "spectrum.spc")], ids=["empty", "other files"])
    def test_a_folder_without_frames_gets_no_configuration(
        self, emwatch: Run, tmp_path: Path, others: tuple[str, ...]
    ) -> None:
        (folder := tmp_path / "folder").mkdir()
        for name in others:
            (folder / name).write_bytes(b"no frame")

        refused = emwatch("init", folder, "--out", tmp_path / "lab.yaml", "--force")

        assert (refused.returncode, refused.stdout) == (3, "")
        assert "is this the right folder?" in refused.stderr
        assert "--without-samples" in refused.stderr
        assert not (tmp_path / "lab.yaml").exists()

    def test_before_the_first_frame_a_configuration_looks_at_everything_if_asked_for(
        self, emwatch: Run, tmp_path: Path
    ) -> None:
        (tmp_path / "empty").mkdir()

        made = emwatch("init", tmp_path / "empty", "--out", tmp_path / "lab.yaml", "--without-samples")

        assert made.returncode == 0, made.stderr
        assert loaded(tmp_path / "lab.yaml").watch.include == ("*",)

    def test_nothing_is_written_to_the_samples(self, emwatch: Run, tmp_path: Path) -> None:
        watched = samples(tmp_path / "frames")
        before = {each: each.stat().st_mtime_ns for each in (watched, *watched.rglob("*"))}

        refused = emwatch("init", watched, "--out", watched / "lab.yaml")
        emwatch("init", watched, "--out", tmp_path / "lab.yaml")

        assert (refused.returncode, "never writes to" in refused.stderr) == (78, True)
        assert {each: each.stat().st_mtime_ns for each in (watched, *watched.rglob("*"))} == before

    def test_a_folder_name_that_yaml_would_obey_is_quoted(self, emwatch: Run, tmp_path: Path) -> None:
        watched = samples(tmp_path / 'a: "b" #c\ntargets: [', frames=1)

        made = emwatch("init", watched, "--out", tmp_path / "lab.yaml")

        assert made.returncode == 0, made.stderr
        assert loaded(tmp_path / "lab.yaml").watch.directory == (watched,)


class TestWishes:
    def test_flags_become_a_target_and_a_channel(self, emwatch: Run, tmp_path: Path) -> None:
        watched = samples(tmp_path / "frames", frames=1)
        wishes = [
            "--category",
            "tips",
            "--category",
            "Nanowires",
            "--min-probability",
            "0.7",
            "--min-magnification",
            "5000",
        ]
        wishes += [
            "--alert-command",
            "/usr/bin/notify-send 'a hit' {category}",
            "--only-new",
            "--directory",
            "/mnt/sem",
        ]

        made = emwatch("init", watched, "--out", tmp_path / "lab.yaml", *wishes)
        config = loaded(tmp_path / "lab.yaml")

        assert made.returncode == 0, made.stderr
        [target] = config.targets
        assert (target.category, target.min_probability, target.magnification.min) == (("Tips", "Nanowires"), 0.7, 5000)
        assert target.alerts == ("terminal", "operator")
        assert config.alerts.channels["operator"].argv == ("/usr/bin/notify-send", "a hit", "{category}")
        assert (config.watch.directory, config.watch.catch_up) == ((Path("/mnt/sem"),), "new")

    def test_a_file_that_is_there_is_replaced_only_by_force(self, emwatch: Run, tmp_path: Path) -> None:
        watched, file = samples(tmp_path / "frames", frames=1), tmp_path / "lab.yaml"
        file.write_text("mine", "utf-8")

        refused = emwatch("init", watched, "--out", file)
        kept = file.read_text("utf-8")
        forced = emwatch("init", watched, "--out", file, "--force")

        assert (refused.returncode, kept, forced.returncode) == (1, "mine", 0)

    def test_a_configuration_that_would_not_be_valid_is_not_written(self, emwatch: Run, tmp_path: Path) -> None:
        watched = samples(tmp_path / "frames", frames=1)

        refused = emwatch("init", watched, "--out", tmp_path / "lab.yaml", "--alert-command", "horn {nonsense}")

        assert refused.returncode == 78
        assert "{nonsense}" in refused.stderr
        assert refused.stderr.splitlines()[-1].startswith("error: alerts.operator.argv: unknown")  # no name of a file
        assert sorted(each.name for each in tmp_path.iterdir() if each.name.endswith((".yaml", ".none"))) == []

    def test_it_is_printed_if_it_is_to_go_elsewhere(self, emwatch: Run, tmp_path: Path) -> None:
        made = emwatch("init", samples(tmp_path / "frames", frames=1), "--out", "-")
        (tmp_path / "lab.yaml").write_text(made.stdout, "utf-8")

        assert loaded(tmp_path / "lab.yaml").watch.directory == (tmp_path / "frames",)
        assert not Path("-").exists()

    def test_without_a_terminal_and_without_samples_nothing_is_asked(self, emwatch: Run) -> None:
        assert emwatch("init").returncode == 2

    def test_on_a_terminal_it_asks_for_folder_categories_and_program(self, tmp_path: Path) -> None:
        watched = samples(tmp_path / "frames", frames=1)

        code, said = on_a_terminal(tmp_path / "lab.yaml", f"{watched}\n5, nothing\n5, tips\n/bin/echo {{path}}\n")

        assert code == 0, said
        assert "not understood" in said
        config = loaded(tmp_path / "lab.yaml")
        assert config.targets[0].category == ("Nanowires", "Tips")
        assert config.alerts.channels["operator"].argv == ("/bin/echo", "{path}")

    @pytest.mark.parametrize(("answers", "code"), [("n\n", 3), ("y\n\n\n", 0)])
    def test_on_a_terminal_a_folder_without_frames_is_asked_about(
        self, tmp_path: Path, answers: str, code: int
    ) -> None:
        (tmp_path / "empty").mkdir()

        ended, said = on_a_terminal(tmp_path / "lab.yaml", f"{tmp_path / 'empty'}\n{answers}")

        assert ended == code, said
        assert (tmp_path / "lab.yaml").exists() is (code == 0)


def on_a_terminal(file: Path, answers: str) -> tuple[int, str]:
    """Run it on a terminal on which these answers are typed; its exit code and what it said."""
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "emwatch", "init", "--out", file]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        os.write(master, answers.encode())
        said = b""
        try:
            while part := os.read(master, 65536):
                said += part
        except OSError:  # it has ended
            pass
    os.close(master)
    return process.returncode, said.decode()
