"""The sources of the configuration, strongest first: flag, environment, --config file, user, system, default."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, get_args, get_origin

import platformdirs

from emwatch.config.document import Branch, Origin, Problem, Refused
from emwatch.config.schema import Config
from emwatch.settings import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Variables that start with EMWATCH_ and are not keys of the configuration.
_OTHER_VARIABLES: Final = (
    "EMWATCH_CONFIG",
    "EMWATCH_EMBEDDINGS",
    "EMWATCH_XCEPTION_WEIGHTS",
    "EMWATCH_REAL_FRAMES",
    "EMWATCH_LABELLED_FRAMES",
    "EMWATCH_NOTEBOOK_TOKEN",
    "EMWATCH_NOTEBOOK_URL",
)
_ALERT_VARIABLES: Final = "EMWATCH_ALERT_"  # given to the commands that deliver alerts


@dataclass(frozen=True, slots=True)
class Leaf:
    """A key of the configuration: how it is written, and what its variable may hold (``""``: it has none)."""

    key: str
    kind: Literal["text", "number", "integer", "flag", ""]

    @property
    def variable(self) -> str:
        """The name of the environment variable."""
        return "EMWATCH_" + self.key.replace(".", "_").upper()


def leaf_keys() -> tuple[Leaf, ...]:
    """Return every key of the configuration in the order of the file; ``targets`` is one key."""
    found: list[Leaf] = []
    for name, section in Config.model_fields.items():
        kind = section.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            found.extend(
                Leaf(f"{name}.{key}", "text" if holds(field.annotation, Path) else _leaf_kind(field.annotation))
                for key, field in kind.model_fields.items()
            )
        else:
            found.append(Leaf(name, ""))
    return tuple(found)


def holds(annotation: object, kind: type) -> bool:
    """Return whether a type, or a part of it, is ``kind`` or is annotated with one: ``tuple[Path, ...]`` holds `Path`."""
    return annotation is kind or isinstance(annotation, kind) or any(holds(part, kind) for part in get_args(annotation))


_KINDS: Final[Mapping[object, Literal["text", "number", "integer", "flag"]]] = MappingProxyType(
    {bool: "flag", int: "integer", float: "number", str: "text", Path: "text", Literal: "text"}
)


def _leaf_kind(annotation: object) -> Literal["text", "number", "integer", "flag", ""]:
    origin = get_origin(annotation)
    if origin is tuple:
        return ""
    kind = _KINDS.get(annotation) or _KINDS.get(origin)
    if kind is not None:
        return kind
    return next((found for part in get_args(annotation) if (found := _leaf_kind(part))), "")


def from_environment(environ: Mapping[str, str]) -> tuple[Branch, list[Problem], list[str]]:
    """Read ``EMWATCH_<SECTION>_<KEY>``; returns the tree, what is wrong, and warnings about variables that are no key."""
    known = {leaf.variable: leaf for leaf in leaf_keys()}
    tree = Branch({}, Origin("environment"))
    problems: list[Problem] = []
    warnings: list[str] = []
    for name in sorted(environ):
        text = environ[name]
        if not name.startswith("EMWATCH_") or name in _OTHER_VARIABLES or name.startswith(_ALERT_VARIABLES):
            continue
        leaf = known.get(name)
        if leaf is None or not leaf.kind:
            warnings.append(_not_a_variable(name, leaf, [each.variable for each in known.values() if each.kind]))
        elif text.strip():  # set but empty counts as not set, as everywhere
            origin = Origin("environment", name)
            value, problem = _typed(text.strip(), leaf)
            if problem:
                problems.append(Problem(origin, leaf.key, problem))
            tree = overlay(tree, planted(leaf.key, Branch(Refused if problem else value, origin, origin)))
    return tree, problems, warnings


def _not_a_variable(name: str, leaf: Leaf | None, variables: list[str]) -> str:
    if leaf is not None:
        return f"{name}: {leaf.key} is not a single value and cannot be set by a variable; write it in a file"
    near = get_close_matches(name, variables, n=1, cutoff=0.6)
    return f"{name}: not a variable of emwatch, ignored" + (f"; did you mean {near[0]}?" if near else "")


def _typed(text: str, leaf: Leaf) -> tuple[object, str]:
    """Return (value, problem)."""
    if leaf.kind == "flag":
        flag = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
        if text.lower() in flag:
            return flag[text.lower()], ""
        return None, f"expected true or false, found {text!r}"
    if leaf.kind in {"integer", "number"}:
        if text.lower() == "null":
            return None, ""
        try:
            return (int(text) if leaf.kind == "integer" else float(text)), ""
        except ValueError:
            return None, f"expected a {'whole ' if leaf.kind == 'integer' else ''}number, found {text!r}"
    return text, ""


def from_flags(flags: Mapping[str, object]) -> Branch:
    """Read flags given by key, ``{"watch.directory": Path(...)}``; ``None`` is a flag that was not given."""
    tree = Branch({}, Origin("flag"))
    for key, value in flags.items():
        if value is None or value == ():
            continue
        origin = Origin("flag")
        branch = (
            tuple(Branch(_text_of(each), origin) for each in value)
            if isinstance(value, (list, tuple))
            else _text_of(value)
        )
        tree = overlay(tree, planted(key, Branch(branch, origin, origin)))
    return tree


def _text_of(value: object) -> object:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def planted(key: str, branch: Branch) -> Branch:
    """Wrap a branch into the mappings that its dotted key stands for."""
    for part in reversed(key.split(".")):
        branch = Branch({part: replace(branch, key_origin=branch.origin)}, branch.origin)
    return branch


def overlay(lower: Branch, upper: Branch, path: str = "") -> Branch:
    """
    Lay one tree over another, key by key; lists are replaced as a whole, and so is a channel.

    An empty section (``watch:`` with everything below it commented out) hides nothing.
    """
    if upper.value is None and lower.mapping is not None:
        return lower
    if lower.mapping is None or upper.mapping is None or path.startswith("alerts."):
        return upper
    merged = dict(lower.mapping)
    for key, each in upper.mapping.items():
        merged[key] = overlay(merged[key], each, f"{path}.{key}" if path else key) if key in merged else each
    return Branch(merged, upper.origin, upper.key_origin)


def system_config_file() -> Path:
    """Return the path of the machine's configuration."""
    if os.name == "nt":
        return Path(platformdirs.site_config_dir("emwatch", appauthor=False)) / "config.yaml"
    return Path("/etc/emwatch/config.yaml")


def user_config_file() -> Path:
    """Return the path of the user's configuration."""
    return Path(platformdirs.user_config_dir("emwatch", appauthor=False)) / "config.yaml"
