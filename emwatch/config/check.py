"""Turns a tree of values into the configuration, or into a list of every problem with its place and what to write."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel, ValidationError

from emwatch.alerts.registry import BY_KIND
from emwatch.alerts.secrets import Secret
from emwatch.config.document import Branch, Problem, Refused, join, plain
from emwatch.config.schema import AlertsConfig, Config
from emwatch.config.sources import holds
from emwatch.settings import ONE_OR_MANY, CommandMarker

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


#: So many keys of a section are named where the section is written wrongly.
_FEW: Final = 4
_NO_BLANK: Final = re.compile(r"[a-z_]+:[^\s/\\]")
#: Three digits after a comma may be thousands as well as decimals.
_FOR_PEOPLE: Final = re.compile(
    r"(?P<number>[-+]?\d{1,15}(?:\.\d{1,15}|,(?!\d{3}\b)\d{1,15})?)\s*(?P<unit>[^\d.,\s-][^\d.,]{0,7})?"
)
_FACTORS: Final = {"%": 0.01, "k": 1000.0, "K": 1000.0}


def check(tree: Branch) -> tuple[Config | None, list[Problem]]:
    """Return the configuration of a merged tree, ``None`` if there are problems, and the problems."""
    problems: list[Problem] = []
    tree = _with_paths(_without_empty_sections(tree), Config, "", problems)
    problems += _names_that_do_not_fit(tree)
    config: Config | None = None
    try:
        config = Config.model_validate(plain(tree))
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=True):
            problem = _as_problem(detail, tree)
            if problem is not None:
                problems.append(problem)
    return (None if problems else config), problems


def _without_empty_sections(tree: Branch) -> Branch:
    """Return the tree without empty sections: their keys may all be commented out."""
    kept = {key: each for key, each in (tree.mapping or {}).items() if each.value is not None}
    return replace(tree, value=kept)


def _with_paths(branch: Branch, annotation: Any, key: str, problems: list[Problem]) -> Branch:
    """Make absolute what the models want as a path, and the program of a command if it is given by a path."""
    model = _model_in(annotation)
    if branch.items and holds(annotation, CommandMarker):
        return replace(branch, value=(_with_path_of_program(branch.items[0]), *branch.items[1:]))
    if branch.items is not None:
        found = [_with_paths(each, annotation, join(key, at), problems) for at, each in enumerate(branch.items)]
        return replace(branch, value=tuple(found))
    if branch.mapping is not None and model is not None:
        children = {
            name: _with_paths(each, _annotation(model, name, each), join(key, name), problems)
            for name, each in branch.mapping.items()
        }
        return replace(branch, value=children)
    return _resolved(branch, key, problems) if model is None and holds(annotation, Path) else branch


def _annotation(model: type[BaseModel], name: str, value: Branch | None) -> Any:
    """Return the type of a key, ``None`` for one that is not known; a channel's is that of its kind."""
    if name in model.model_fields:
        return model.model_fields[name].rebuild_annotation()
    kind = _child(value, "kind")
    return BY_KIND.get(kind.value) if model is AlertsConfig and kind and isinstance(kind.value, str) else None


def _resolved(branch: Branch, key: str, problems: list[Problem]) -> Branch:
    """Return a path as an absolute path: ``~`` is the home directory, a relative path is relative to its file."""
    if not isinstance(branch.value, str):
        return branch
    text = branch.value
    if not text.strip() or "\0" in text:
        problems.append(Problem(branch.origin, key, "expected a path, found an empty text or a NUL in it"))
        return replace(branch, value=Refused)
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        problems.append(Problem(branch.origin, key, f"{_shown(text)}: there is no such user; write the whole path"))
        return replace(branch, value=Refused)
    return replace(branch, value=Path(os.path.normpath((branch.origin.folder or Path.cwd()) / path)))


def _with_path_of_program(program: Branch) -> Branch:
    """Resolve ``~/bin/horn`` or ``./horn``; a plain name is looked for in PATH when it is started."""
    if not isinstance(program.value, str) or not {"/", os.sep} & set(program.value):
        return program
    found = _resolved(program, "", [])
    return replace(program, value=os.fspath(found.value)) if isinstance(found.value, Path) else program


def _names_that_do_not_fit(tree: Branch) -> list[Problem]:
    """Return problems for duplicate target names and for channels that are not defined below `alerts:`."""
    problems: list[Problem] = []
    sections = tree.mapping or {}
    alerts = sections.get("alerts")
    channels = {"terminal", *((alerts.mapping or {}) if alerts else {})} - set(AlertsConfig.model_fields)
    seen: dict[str, Branch] = {}
    targets = sections.get("targets")
    for at, target in enumerate((targets.items or ()) if targets else ()):
        keys = target.mapping or {}
        name = keys.get("name")
        if name is not None and isinstance(name.value, str):
            if name.value in seen:
                text = f"two targets are called {name.value!r} (the first: {seen[name.value].origin}); names are unique"
                problems.append(Problem(name.origin, f"targets[{at}].name", text))
            seen.setdefault(name.value, name)
        wanted = keys.get("alerts")
        for where, channel in _each(wanted, f"targets[{at}].alerts"):
            if isinstance(channel.value, str) and channel.value not in channels:
                text = f"no channel is called {channel.value!r} (channels are defined under `alerts:`)"
                problems.append(Problem(channel.origin, where, text + _meant(channel.value, sorted(channels))))
    return problems


def _each(branch: Branch | None, key: str) -> list[tuple[str, Branch]]:
    if branch is None:
        return []
    if branch.items is None:
        return [(key, branch)]
    return [(join(key, at), each) for at, each in enumerate(branch.items)]


def _as_problem(detail: ErrorDetails, tree: Branch) -> Problem | None:
    """Return one pydantic error in the terms of the file, ``None`` if its cause is reported already."""
    kind = detail["type"]
    branch, key, rest = _found(detail["loc"], tree)
    if branch.value is Refused:
        return None
    if kind == "missing":
        name = str(rest[-1])
        if (branch.mapping or {}).get(name, branch).value is Refused:
            return None
        return Problem(branch.origin, join(key, name), f"is missing: write `{name}: ...`")
    if kind == "extra_forbidden":
        return Problem(branch.key_origin or branch.origin, key, _unknown(key, tree))
    if any(item.value is Refused for item in branch.items or ()):
        return None
    if rest == ["[key]"]:  # the key of a mapping is the mistake, not its value
        branch = replace(branch, value=str(detail["loc"][-2]), origin=branch.key_origin or branch.origin)
    if kind == "union_tag_invalid" and branch.mapping and "kind" in branch.mapping:
        branch, key = branch.mapping["kind"], join(key, "kind")
    return Problem(branch.origin, key, _of_a_secret(detail) or _explained(detail, branch, _known_keys(key, tree)))


def _found(location: tuple[int | str, ...], tree: Branch) -> tuple[Branch, str, list[int | str]]:
    """
    Return the branch of an error, its key path, and the part of the location that is not in the tree.

    Pydantic's location also holds names that are not in the file: the kind of a channel, the index into a list of one.
    """
    branch, key = tree, ""
    rest: list[int | str] = []
    for part in location:
        child: Branch | None = None
        if isinstance(part, str) and branch.mapping is not None:
            child = branch.mapping.get(part)
        elif isinstance(part, int) and branch.items is not None and part < len(branch.items):
            child = branch.items[part]
        if child is None:
            rest.append(part)
            continue
        branch, key, rest = child, join(key, part), []
    return branch, key, rest


def _explained(detail: ErrorDetails, branch: Branch, known: list[str]) -> str:
    """Return what is wrong with a value, and what to write; ``known``: the keys that could stand below it."""
    kind, context = detail["type"], detail.get("ctx", {})
    value = plain(branch)
    found = _shown(value)
    simple = {
        "bool_type": f"expected true or false, found {found}",
        "int_type": f"expected a whole number, found {found}" + _number_meant(value),
        "float_type": f"expected a number, found {found}" + _number_meant(value),
        "finite_number": f"expected a finite number, found {found}",
        "tuple_type": f"expected a list (`- ` lines, or [a, b]), found {found}",
        ONE_OR_MANY: f"expected {context.get('entry')}, or a list (`- ` lines, or [a, b]), found {found}"
        + _quoting(value),
        "string_type": f"expected text, found {found}" + _quoting(value),
        "path_type": f"expected a path as text, found {found}" + _quoting(value),
        "is_instance_of": f"expected a path as text, found {found}" + _quoting(value),
        "too_short": "expected at least one entry",
        "string_unicode": f"expected text, found {found}: only a path may hold bytes that are not UTF-8",
        "string_pattern_mismatch": f"expected 1 to 80 printable characters, found {found}",
        "union_tag_not_found": f"is missing `kind`: write {' or '.join(f'`kind: {each}`' for each in BY_KIND)}",
    }
    if kind in simple:
        return simple[kind]
    if kind in {"model_type", "model_attributes_type", "dict_type", "mapping_type", "is_mapping"}:
        keys = ", ".join(f"`{each}: ...`" for each in known) if 0 < len(known) <= _FEW else "`key: value`"
        blank = "; a blank is missing after the `:`" if isinstance(value, str) and _NO_BLANK.match(value) else ""
        return f"expected keys on indented lines below ({keys}), found {found}{blank}"
    if kind in {"literal_error", "union_tag_invalid"}:
        choices = re.findall(r"'([^']*)'", str(context.get("expected") or context.get("expected_tags")))
        if kind == "union_tag_invalid":
            value = context.get("tag")
        return f"expected one of {', '.join(choices)}; found {_shown(value)}{_meant(str(value), choices)}"
    limits = {
        "greater_than_equal": ("at least", "ge"),
        "greater_than": ("above", "gt"),
        "less_than_equal": ("at most", "le"),
    }
    if kind in limits:
        word, name = limits[kind]
        return f"must be {word} {context[name]:g}, found {found}"
    if kind == "value_error":
        return str(context["error"])
    return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}, found {found}"


def _number_meant(value: object) -> str:
    """Return ``; write 0.8`` for a number as people write it (0,8, 80%, 5k, 20 kV), else an empty text."""
    read = _FOR_PEOPLE.fullmatch(value.strip()) if isinstance(value, str) else None
    if read is None:
        return ""
    number, unit = float(read["number"].replace(",", ".")), read["unit"]
    if unit in _FACTORS:
        return f"; write {number * _FACTORS[unit]:.10g}"
    return "; write the number alone, in the unit that the key is in" if unit else f"; write {number:.10g}"


def _of_a_secret(detail: ErrorDetails) -> str:
    """Return what is said of a secret, "" of anything else; messages go into the log, so that what was found is not shown."""
    where = "`{file: PATH}`, `{env: VARIABLE}` or `{credential: NAME}`"
    if detail.get("ctx", {}).get("class_name") == Secret.__name__:
        return f"expected where the secret is read from, {where}; found what may be the secret itself"
    place = detail["loc"][-1] if detail["loc"] else ""  # what contradicts itself as a whole has no place
    if place in {"env", "credential"} and detail["type"].startswith("string_"):
        return f"expected the name of a variable or a credential, as in {where}"
    return ""


def _quoting(value: object) -> str:
    return f'; write "{value}" in quotes' if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "keys below it"
    if isinstance(value, tuple):
        return "a list"
    text = repr(str(value) if isinstance(value, Path) else value)
    return text if len(text) <= 80 else text[:77] + "..."


def _unknown(key: str, tree: Branch) -> str:
    """Return the message about an unknown key: with the most similar key, else with all known ones."""
    parent, _, name = key.rpartition(".")
    known = _known_keys(parent, tree)
    if near := _meant(name, known):
        return f"unknown key{near}"
    if homes := [f"{section}.{name}" for section in Config.model_fields if name in _known_keys(section, tree)]:
        return f"unknown key; did you mean `{homes[0]}`?"
    return f"unknown key; known here: {', '.join(known)}"


def _known_keys(parent: str, tree: Branch) -> list[str]:
    model: type[BaseModel] | None = Config
    branch: Branch | None = tree
    for part in re.findall(r"[^.\[\]]+", parent):
        branch = _child(branch, part)
        if not part.isdigit() and model is not None:
            model = _model_in(_annotation(model, part, branch))
    return list(model.model_fields) if model else []


def _child(branch: Branch | None, part: str) -> Branch | None:
    if branch is None:
        return None
    if branch.items is not None and part.isdigit():
        return branch.items[int(part)]
    return (branch.mapping or {}).get(part)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model within a type such as ``tuple[TargetConfig, ...]`` or ``WindowConfig | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part)) is not None), None)


def _meant(word: str, choices: list[str]) -> str:
    """Return ``; did you mean `x`?`` if one of the choices is similar, else an empty text."""
    folded = {re.sub(r"[\s_-]+", "_", choice.lower()): choice for choice in choices}
    plainly = re.sub(r"[\s_-]+", "_", word.lower())
    near = [each for each in folded if len(plainly) > 3 and (plainly in each or each in plainly)]
    near = get_close_matches(plainly, near or folded, n=1, cutoff=0.0 if near else 0.65)
    return f"; did you mean `{folded[near[0]]}`?" if near else ""
