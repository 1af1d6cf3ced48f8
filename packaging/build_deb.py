"""
Build the Debian package: a virtual environment of its own in /opt/emwatch, the units, the documentation.

    python packaging/build_deb.py [--output DIR] [--wheelhouse DIR]

It runs on the Debian release it is made for, with Debian's Python, whose version the package then depends on. Packages
come from the index that pip is set up for, or from a wheelhouse (packaging/wheelhouse.py) without any network.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
HOME = "opt/emwatch"  # where the units look for the program
EXTRAS = "web"
CONTROL = """\
Package: emwatch
Version: {version}
Architecture: {architecture}
Maintainer: emwatch <root@localhost>
Depends: {python}, libc6 (>= 2.34), libgcc-s1, libstdc++6, passwd
Recommends: systemd
Section: science
Priority: optional
Installed-Size: {size_kib}
Homepage: file:///usr/share/doc/emwatch/service.md
Description: watches a scanning electron microscope's acquisition directory
 Each new frame is read with its metadata, classified into ten categories and
 recorded; the operator is told when it is what they are looking for. The
 model is part of the package, and no network is needed.
"""


def run(*argv: str | Path) -> str:
    """Return what a program prints; ends this one if it fails."""
    ended = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        sys.exit(f"build_deb: {' '.join(map(os.fspath, argv[:4]))} ...: exit status {ended.returncode}")
    return ended.stdout


def debian_version(version: str) -> str:
    """Return a Python version as Debian sorts it: 1.0rc1 comes before 1.0."""
    return re.sub(r"\.?(a|b|rc|dev)(\d+)", r"~\1\2", version) + "-1"


def virtual_environment(stage: Path, python: Path, wheelhouse: Path | None) -> None:
    """Install emwatch and what it needs, with no path of this machine left behind."""
    home = stage / HOME
    run(python, "-m", "venv", "--without-pip", home)
    source = ["--no-index", "--find-links", wheelhouse] if wheelhouse else []
    wanted = f"emwatch[{EXTRAS}]" if wheelhouse else f"{CHECKOUT}[{EXTRAS}]"
    pip = [sys.executable, "-m", "pip", "-q", "--python", home / "bin/python", "install"]
    run(*pip, "--no-compile", "--disable-pip-version-check", *source, wanted)
    for each in (home / "bin").iterdir():
        if not (each.name.startswith("python") or each.name == "emwatch"):
            each.unlink()
    script = home / "bin/emwatch"
    script.write_text(script.read_text(encoding="utf-8").replace(os.fspath(stage), "", 1), encoding="utf-8")
    settings = home / "pyvenv.cfg"
    kept = [line for line in settings.read_text(encoding="utf-8").splitlines() if not line.startswith("command")]
    settings.write_text("\n".join(kept) + "\n", encoding="utf-8")
    for each in home.glob("lib/*/site-packages/emwatch-*.dist-info/direct_url.json"):
        each.unlink()
    shutil.rmtree(home / "include", ignore_errors=True)
    run(home / "bin/python", "-m", "compileall", "-q", "-j", "2", "-s", stage, "-p", "/", home / "lib")


def units_and_documentation(stage: Path) -> None:
    """Put in place what systemd, man, the shells and a reader look for."""
    python = stage / HOME / "bin/python"
    shutil.copytree(CHECKOUT / "systemd", stage / "usr/lib/systemd/system")
    documentation = stage / "usr/share/doc/emwatch"
    shutil.copytree(CHECKOUT / "docs", documentation)
    shutil.copy(CHECKOUT / "LICENSE", documentation / "copyright")
    compressed(documentation / "changelog.gz", (CHECKOUT / "CHANGELOG.md").read_bytes())
    compressed(stage / "usr/share/man/man1/emwatch.1.gz", run(python, "-m", "emwatch", "docs", "--man").encode())
    for shell, place in (
        ("bash", "bash-completion/completions/emwatch"),
        ("zsh", "zsh/vendor-completions/_emwatch"),
        ("fish", "fish/vendor_completions.d/emwatch.fish"),
    ):
        file = stage / "usr/share" / place
        file.parent.mkdir(parents=True)
        file.write_text(run(python, "-m", "emwatch", "completion", shell), encoding="utf-8")
    (stage / "etc/emwatch").mkdir(parents=True)
    (stage / "usr/bin").mkdir(parents=True)
    (stage / "usr/bin/emwatch").symlink_to(f"/{HOME}/bin/emwatch")


def compressed(file: Path, content: bytes) -> None:
    """Write a file that is the same for the same content."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(content, mtime=0))


def control_files(stage: Path, python: str, version: str) -> None:
    """Write what dpkg asks for: the package's facts, its scripts, and the sums that `dpkg --verify` compares."""
    files = [each for each in sorted(stage.rglob("*")) if each.is_file() and not each.is_symlink()]
    sums = [f"{hashlib.md5(each.read_bytes()).hexdigest()}  {each.relative_to(stage)}\n" for each in files]
    folder = stage / "DEBIAN"
    folder.mkdir()
    (folder / "md5sums").write_text("".join(sums), encoding="utf-8")
    (folder / "control").write_text(
        CONTROL.format(
            version=debian_version(version),
            architecture=run("dpkg", "--print-architecture").strip(),
            python=python,
            size_kib=sum(each.stat().st_size for each in files) // 1024,
        ),
        encoding="utf-8",
    )
    for name in ("postinst", "prerm", "postrm"):
        shutil.copy(CHECKOUT / "packaging/deb" / name, folder / name)
    for each in stage.rglob("*"):
        if not each.is_symlink():
            each.chmod(0o755 if each.is_dir() or each.stat().st_mode & 0o100 else 0o644)


def main() -> None:
    """Build it and print its path."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("dist"))
    parser.add_argument("--wheelhouse", type=Path)
    parser.add_argument("--python", type=Path, default=Path("/usr/bin/python3"), help="Debian's own Python")
    parser.add_argument("--compression", default="zstd", help="as dpkg-deb -Z takes it")
    options = parser.parse_args()
    python = options.python.resolve()
    if not python.is_relative_to("/usr/bin"):
        sys.exit(f"build_deb: {python} is not Debian's Python: on the PC it is not there, or another one")
    version = run(
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {os.fspath(CHECKOUT)!r}); import emwatch; print(emwatch.__version__)",
    ).strip()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder) / "stage"
        virtual_environment(stage, python, options.wheelhouse)
        units_and_documentation(stage)
        control_files(stage, python.name, version)
        print(
            run("dpkg-deb", f"-Z{options.compression}", "--root-owner-group", "--build", stage, options.output), end=""
        )


if __name__ == "__main__":
    main()
