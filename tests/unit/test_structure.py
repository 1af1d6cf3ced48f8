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

#: Imports that must not pass: the file an import is written into (new if it is not there), the line, what it imports.
PLANTS = (
    ("watch/patterns.py", "from watchdog.events import FileSystemEvent", "watchdog"),
    ("watch/sweep.py", "if TYPE_CHECKING:\n    from watchdog.events import FileSystemEvent", "watchdog"),
    ("readers/vendors/zeiss.py", "import onnxruntime", "onnxruntime"),
    ("frame.py", "import click", "click"),
    ("frame.py", "def _planted():\n    import sqlalchemy\n    return sqlalchemy", "sqlalchemy"),
    ("classify/planted.py", "import keras", "keras"),
    ("service/daemon.py", "import tensorflow as tf", "tensorflow"),
    ("service/daemon.py", "from rich.console import Console", "rich"),
    ("watch/settle.py", "from PIL import Image", "PIL"),
    ("ledger/writer.py", "import pydantic", "pydantic"),
    ("ledger/writer.py", "from emwatch.service import daemon", "emwatch.service.daemon"),
    ("units.py", "from emwatch.config.load import load", "emwatch.config.load"),
    ("watch/sweep.py", "from emwatch.readers.registry import READERS", "emwatch.readers.registry"),
)


def _lint(tree: Path) -> tuple[int, str]:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=tree, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> Path:
    """A copy of the package that lint-imports passes."""
    pytest.importorskip("importlinter", reason="needs the lint extra")
    shutil.copytree(PACKAGE, tmp_path / "emwatch", ignore=shutil.ignore_patterns("__pycache__", "models"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    status, said = _lint(tmp_path)
    assert status == 0, said
    return tmp_path


@pytest.mark.slow
def test_no_planted_import_passes(tree: Path) -> None:
    for where, line, _ in PLANTS:
        with (tree / "emwatch" / where).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    status, said = _lint(tree)

    assert status == 1, said
    planted = [f"emwatch.{where.removesuffix('.py').replace('/', '.')} -> {imported}" for where, _, imported in PLANTS]
    assert [each for each in planted if not re.search(rf"{re.escape(each)}\b", said)] == [], said


@pytest.mark.slow
@pytest.mark.parametrize("new", ["planted.py", "planted/__init__.py"])
def test_a_new_module_that_no_layer_has_is_refused(tree: Path, new: str) -> None:
    file = tree / "emwatch" / new
    file.parent.mkdir(exist_ok=True)
    file.write_text("import json\n", "utf-8")
    status, said = _lint(tree)

    assert status == 1, said
    assert "planted" in said


def _module(file: Path) -> str:
    return ".".join(file.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


def _modules() -> dict[str, Path]:
    """Every module but the ledger's migrations, which are run by path."""
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


def test_no_class_name_stands_for_two_things() -> None:
    places: dict[str, list[str]] = {}
    for name, file in _modules().items():
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name)

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_every_module_is_short() -> None:
    lines = {name: file.read_text(encoding="utf-8").count("\n") for name, file in _modules().items()}

    assert {name: count for name, count in lines.items() if count >= 400} == {}


def test_what_needs_an_extra_is_slow() -> None:
    """Extras are installed only where slow tests run (see also the hook in ``conftest``, for what a test itself asks for)."""
    skipping = re.compile(r"^(\w+ = )?pytest\.importorskip\(.*extra", re.MULTILINE)
    asking = [each for each in (REPOSITORY / "tests").rglob("test_*.py") if skipping.search(each.read_text("utf-8"))]

    assert asking
    assert [each.name for each in asking if "pytest.mark.slow" not in each.read_text("utf-8")] == []
