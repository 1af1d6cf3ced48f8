"""
A configuration file as a tree in which every key and value knows its line and column. The only reader of YAML.

YAML 1.1 reads ``NO`` as false, ``012`` as 10, ``12:30:45`` as 45045 and ``1e3`` as text. Such values are refused with
what to write instead: a microscope's configuration should mean what it looks like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Final

import yaml

from emwatch.foreign_file import read_bounded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: A configuration is a page of text; more is a mistaken file.
MAX_FILE_BYTES: Final = 256 * 1024
_MAX_DEPTH: Final = 16
_STR: Final = "tag:yaml.org,2002:str"
_NULL: Final = "tag:yaml.org,2002:null"
_BOOL: Final = "tag:yaml.org,2002:bool"
_INT: Final = "tag:yaml.org,2002:int"
_FLOAT: Final = "tag:yaml.org,2002:float"
_DECIMAL = re.compile(r"[-+]?(\d+\.?\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|\.(inf|Inf|INF))|\.(nan|NaN|NAN)")
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from: ``flag``, ``environment``, ``file`` or ``default``, and the place within it."""

    kind: str
    place: str = ""  #: ``FILE:LINE:COLUMN``, the variable's name, the file's path; empty for a plain default
    folder: Path | None = None  #: what relative paths are relative to; ``None``: the current directory
    order: tuple[int, int] = (-1, -1)  #: line and column counted from 0; -1 for the whole source

    @property
    def source(self) -> str:
        """The file or variable, without line and column."""
        return self.place.rsplit(":", 2)[0] if self.kind == "file" and self.order[0] >= 0 else self.place

    def __str__(self) -> str:
        """Return the text that `emwatch config check` shows."""
        return self.place if self.kind == "file" else f"{self.kind} {self.place}".rstrip()


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake and its place."""

    origin: Origin
    key: str
    text: str

    def __str__(self) -> str:
        """Return ``PLACE: key.path: what is wrong``."""
        return ": ".join(part for part in (str(self.origin), self.key, self.text) if part)


@dataclass(frozen=True, slots=True)
class Branch:
    """
    A value with its origin; mappings and lists hold further branches.

    ``key_origin`` is the place of the key: shown if the key is the mistake.
    """

    value: object
    origin: Origin
    key_origin: Origin | None = None

    @property
    def mapping(self) -> dict[str, Branch] | None:
        """The value as a mapping, ``None`` if it is not one."""
        return self.value if isinstance(self.value, dict) else None

    @property
    def items(self) -> tuple[Branch, ...] | None:
        """The value as a list, ``None`` if it is not one."""
        return self.value if isinstance(self.value, tuple) else None


def join(path: str, key: str | int) -> str:
    """Write a key path: ``targets[0].name``."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def read_document(file: Path) -> tuple[Branch, list[Problem]]:
    """
    Read a configuration file; a file that is empty but for comments is an empty mapping.

    Returns what could be read and every problem found, so that all are shown at once. Raises `OSError` if the file
    cannot be read.
    """
    start = Origin("file", str(file), file.absolute().parent)
    try:
        content = read_bounded(file, MAX_FILE_BYTES)
    except ValueError as error:
        problem = f"{error}: expected a configuration, a text file of at most {MAX_FILE_BYTES // 1024} kB"
        return Branch({}, start), [Problem(_at(start, 0, 0), "", problem)]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", errors="replace")
        line, column = before.count("\n"), len(before) - (before.rfind("\n") + 1)
        return Branch({}, start), [
            Problem(_at(start, line, column), "", "not UTF-8 text: save the file in the encoding UTF-8")
        ]
    return _parse(text, start)


def _parse(text: str, start: Origin) -> tuple[Branch, list[Problem]]:
    try:
        if problem := _first_refused_event(text, start):
            return Branch({}, start), [problem]
        root = yaml.compose(text, Loader=yaml.SafeLoader)  # nodes only: nothing is constructed
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position)
        column = error.position - (text.rfind("\n", 0, error.position) + 1)
        return Branch({}, start), [
            Problem(_at(start, line, column), "", f"the character U+{ord(text[error.position]):04X} has no place here")
        ]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        origin = _at(start, mark.line, mark.column) if mark else start
        return Branch({}, start), [Problem(origin, "", _syntax_advice(error))]
    reader = _NodeReader(start)
    if root is None:
        return Branch({}, start), []
    branch = reader.read(root, "")
    if branch.value is None:
        branch = replace(branch, value={})
    if branch.mapping is None:
        return Branch({}, start), [
            Problem(branch.origin, "", "expected sections such as `watch:` with indented keys below them")
        ]
    return branch, reader.problems


def _first_refused_event(text: str, start: Origin) -> Problem | None:
    """Return the first thing that is refused before a tree is built: aliases grow without bound, deep nesting recurses."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        origin = _at(start, mark.line, mark.column) if mark else start
        if isinstance(event, yaml.AliasEvent):
            return Problem(origin, "", f"`*{event.anchor}`: aliases are not read; write the value out")
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            return Problem(origin, "", f"`&{event.anchor}`: anchors are not read; write the value out where it is used")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            return Problem(origin, "", f"nested more than {_MAX_DEPTH} deep: not a configuration of emwatch")
    return None


class _NodeReader:
    """Turns YAML nodes into branches and collects the problems."""

    def __init__(self, start: Origin) -> None:
        self._start = start
        self.problems: list[Problem] = []

    def read(self, node: yaml.Node, path: str) -> Branch:
        origin = _at(self._start, node.start_mark.line, node.start_mark.column)
        if isinstance(node, yaml.MappingNode):
            return Branch(self._mapping(node, path), origin)
        if isinstance(node, yaml.SequenceNode):
            return Branch(
                tuple(self.read(item, join(path, index)) for index, item in enumerate(node.value)),
                origin,
            )
        return Branch(self._scalar(node, path, origin), origin)

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Branch]:
        mapping: dict[str, Branch] = {}
        for key_node, value_node in node.value:
            origin = _at(self._start, key_node.start_mark.line, key_node.start_mark.column)
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(origin, path, "a key must be plain text"))
                continue
            key = str(key_node.value)
            if problem := _half_character(key):
                self.problems.append(Problem(origin, path, problem))
                continue
            here = join(path, key)
            if key_node.tag != _STR:
                self.problems.append(Problem(origin, here, _odd_key(key, key_node.tag, value_node)))
                continue
            if key in mapping:
                first = mapping[key].key_origin
                line = first.order[0] + 1 if first else "?"
                self.problems.append(
                    Problem(origin, here, f"given twice, first in line {line}; keep one, or put their keys together")
                )
                continue
            mapping[key] = replace(self.read(value_node, here), key_origin=origin)
        return mapping

    def _scalar(self, node: yaml.Node, path: str, origin: Origin) -> object:
        text = str(node.value)
        plain = getattr(node, "style", None) is None
        problem, value = _scalar_value(text, node.tag, plain=plain)
        if problem:
            self.problems.append(Problem(origin, path, problem))
        return Refused if problem else value


def _odd_key(key: str, tag: str, value: yaml.Node) -> str:
    """Return what is wrong with a key that is no text. In braces, ``0,8`` is the value 0 and a key 8 without a value."""
    if tag == _INT and value.tag == _NULL:
        return f"a key `{key}` without a value; the decimals of a number stand after a point: 0.{key}, not 0,{key}"
    return f'a key must be text; write "{key}" in quotes if you mean it'


class Refused:
    """Stands for a value that has been reported already, so that it is not reported again."""


def _scalar_value(text: str, tag: str, *, plain: bool) -> tuple[str, object]:
    """Return (problem, value) of a scalar with its YAML tag."""
    value: object = None
    problem = ""
    if tag == _STR:
        value = text
        problem = _half_character(text)
        if plain and _EXPONENT.fullmatch(text):
            number = float(text)
            meant = f"write {number:g} for the number," if isfinite(number) else "no number is that large; write"
            problem = f'YAML reads {text} as text; {meant} "{text}" in quotes for text'
    elif tag == _BOOL:
        value = text.lower() in {"true", "yes", "on", "y"}
        if text.lower() not in {"true", "false"}:
            meant = str(value).lower()
            problem = f'YAML reads {text} as {meant}; write {meant} if you mean that, "{text}" in quotes for text'
    elif tag == _INT and re.fullmatch(r"[-+]?(0|[1-9][0-9]{0,39})", text):
        value = int(text)
    elif tag == _FLOAT and _DECIMAL.fullmatch(text):
        value = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    elif tag != _NULL:
        problem = _odd_scalar(text, tag)
    return problem, value


def _half_character(text: str) -> str:
    r"""
    Return what is wrong with text that no file and no terminal can hold, else an empty text.

    ``"\ud83d\ude00"`` is two halves of a character to YAML. U+DC80 to U+DCFF stand for the bytes of a path that is not
    UTF-8, and pass.
    """
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        return f"\\u{code:04x} is half of a character: write the character itself, or \\U and its eight digits"
    return ""


def _odd_scalar(text: str, tag: str) -> str:
    if tag in {_INT, _FLOAT}:
        return _odd_number(text)
    if tag == "tag:yaml.org,2002:timestamp":
        return f'YAML reads {text} as a date; write "{text}" in quotes'
    kind = tag.removeprefix("tag:yaml.org,2002:")
    return f'`{text}` of the kind `{kind}` is not read here; write it as plain text in quotes: "{text}"'


def _odd_number(text: str) -> str:
    if ":" in text:
        return f'YAML reads {text} as a number to base 60; write "{text}" in quotes'
    if "_" in text:
        return f'YAML reads {text} as the number {text.replace("_", "")}; write that, or "{text}" in quotes for text'
    digits = text.lstrip("+-")
    if re.fullmatch(r"0[0-7]{1,40}", digits):
        return (
            f"YAML reads {text} as the octal number {int(digits, 8)}; write {int(digits)} for the number, "
            f'"{text}" in quotes for text'
        )
    return f'{text} is not a decimal number; write it in decimal digits, or "{text}" in quotes for text'


#: Part of a PyYAML message and the advice for it; the first match is used.
_ADVICE: Final = (
    ("'\\t'", "a tab here; indent with spaces"),
    (
        "unknown escape character",
        r"a backslash between double quotes is an escape; write the path in single quotes: 'C:\frames'",
    ),
    (
        "mapping values are not allowed",
        "a `:` where none can be; is the line above complete, the indentation right, the text in quotes?",
    ),
    ("could not find expected ':'", "expected `key: value` (the `:` and a blank are missing)"),
    ("expected a single document", "a second document (`---`): keep one"),
    (
        "expected <block end>",
        "the indentation does not fit, a text goes on after its quotes, or the key above has a value: take the [] or {} away",
    ),
    ("expected ',' or", "a `{` or `[` is not closed before this, or a comma is missing"),
    ("found unexpected end of stream", "a quote or bracket is opened and never closed"),
)


def _syntax_advice(error: yaml.MarkedYAMLError) -> str:
    said = f"{error.context or ''}; {error.problem or ''}"
    for part, advice in _ADVICE:
        if part in said:
            return advice
    if "cannot start any token" in said:
        return f"{(error.problem or '').removeprefix('found ')}: put text with this character in quotes"
    return f"not YAML: {error.problem or error}"


def _at(start: Origin, line: int, column: int) -> Origin:
    return replace(start, place=f"{start.place}:{line + 1}:{column + 1}", order=(line, column))


def plain(branch: Branch) -> object:
    """Return the values of a branch, without those already reported."""
    if branch.mapping is not None:
        return {key: plain(each) for key, each in branch.mapping.items() if each.value is not Refused}
    if branch.items is not None:
        return tuple(plain(each) for each in branch.items if each.value is not Refused)
    return branch.value


def leaves(branch: Branch, path: str = "") -> Iterator[tuple[str, Branch]]:
    """Yield every value that is not a mapping, with its key path."""
    if branch.mapping is None:
        yield path, branch
        return
    for key, each in branch.mapping.items():
        yield from leaves(each, join(path, key))
