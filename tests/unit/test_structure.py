"""The structure that pyproject.toml promises: who may import what, and that nothing lies around unused."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "emwatch"

#: Where the program starts (pyproject's scripts, ``python -m emwatch``), and what is public without being used inside.
ROOTS = ("emwatch.cli.main", "emwatch.__main__", "emwatch.testing")

#: An import that must not pass: the file it is written into (new if it is not there), and the line.
PLANTS = {
    "watchdog beside the patterns": ("watch/patterns.py", "from watchdog.events import FileSystemEvent"),
    "watchdog in the sweep, for types only": (
        "watch/sweep.py",
        "if TYPE_CHECKING:\n    from watchdog.events import FileSystemEvent",
    ),
    "the text recogniser's runtime in a reader": ("readers/vendors/zeiss.py", "import onnxruntime"),
    "click in the innermost layer": ("frame.py", "import click"),
    "SQLAlchemy inside a function of the innermost layer": (
        "frame.py",
        "def _planted():\n    import sqlalchemy\n    return sqlalchemy",
    ),
    "Keras in a new module": ("classify/planted.py", "import keras"),
    "TensorFlow in the daemon": ("service/daemon.py", "import tensorflow as tf"),
    "Pillow in the watcher": ("watch/settle.py", "from PIL import Image"),
    "rich in the daemon": ("service/daemon.py", "from rich.console import Console"),
    "pydantic in the ledger": ("ledger/writer.py", "import pydantic"),
    "a layer above": ("ledger/writer.py", "from emwatch.service import daemon"),
    "a layer above, from the innermost": ("units.py", "from emwatch.config.load import load"),
    "a sibling": ("watch/sweep.py", "from emwatch.readers.registry import READERS"),
    "a new module that no layer has": ("planted.py", "import json"),
    "a new package that no layer has": ("planted/__init__.py", "import json"),
}


def _lint(tree: Path) -> tuple[int, str]:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=tree, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(name="tree", scope="module")
def _tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("importlinter", reason="needs the lint extra")
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(PACKAGE, tree / "emwatch", ignore=shutil.ignore_patterns("__pycache__", "models"))
    shutil.copy(REPOSITORY / "pyproject.toml", tree)
    status, said = _lint(tree)
    assert status == 0, said
    return tree


@pytest.mark.slow
@pytest.mark.parametrize(("where", "line"), PLANTS.values(), ids=PLANTS)
def test_no_planted_import_passes(tree: Path, where: str, line: str) -> None:
    file = tree / "emwatch" / where
    before = file.read_text("utf-8") if file.exists() else None
    made = not file.parent.exists()
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"{before or ''}\n{line}\n", "utf-8")
    try:
        status, said = _lint(tree)
    finally:
        if before is not None:
            file.write_text(before, "utf-8")
        elif made:
            shutil.rmtree(file.parent)
        else:
            file.unlink()
    assert status == 1, said
    assert "BROKEN" in said or "exhaustive" in said, said


def _module(file: Path) -> str:
    return ".".join(file.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


def _modules() -> dict[str, Path]:
    """Every module but the ledger's migrations, which Alembic loads by path."""
    migrations = PACKAGE / "ledger" / "migrations"
    return {_module(file): file for file in PACKAGE.rglob("*.py") if migrations not in file.parents}


def _named_in(file: Path) -> set[str]:
    """All modules that a file may import, be it in a statement or as text: ``"module:function"``, ``-m module``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= set(re.findall(r"^(emwatch(?:\.\w+)+)(?::\w+)?$", node.value))
    return names


def test_every_module_is_reached_from_an_entry_point() -> None:
    modules = _modules()
    reached: set[str] = set()
    ahead = list(ROOTS)
    while ahead:
        module = ahead.pop()
        if module in reached:
            continue
        reached.add(module)
        ahead += [name for name in _named_in(modules[module]) if name in modules]
        if package := module.rpartition(".")[0]:
            ahead.append(package)
    assert sorted(set(modules) - reached) == []


def test_import_linter_sees_every_module() -> None:
    """A folder without ``__init__.py`` is no package to it, and nothing in there would be held to a contract."""
    unseen = [
        name
        for name, file in _modules().items()
        if not all((each / "__init__.py").is_file() for each in _folders(file))
    ]
    assert unseen == []


def _folders(file: Path) -> list[Path]:
    return [each for each in file.parents if each == PACKAGE or PACKAGE in each.parents]
