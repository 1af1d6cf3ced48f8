"""
Write the reference pages from the program: ``--check`` only says whether they are up to date.

docs/cli.md: of each command the usage, the help and the options. What follows the line ``<!-- by hand -->`` in a section,
and what follows its options, stays as it is; paragraphs that are replaced are printed. docs/keys.md: every key of the configuration, from its models and the
example file.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emwatch.alerts.registry import BY_KIND
from emwatch.cli.main import cli
from emwatch.config.schema import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
BY_HAND = "<!-- by hand -->"


def commands(command: click.Command, context: click.Context) -> Iterator[click.Context]:
    """Return every command below a group, groups before what is in them."""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                inner = click.Context(below, info_name=name, parent=context)
                yield inner
                yield from commands(below, inner)


def described(context: click.Context) -> tuple[str, str]:
    """Return what stands above and below a command's own prose: usage with help, and the table of its options."""
    command = context.command
    usage = f"    {context.command_path} {' '.join(command.collect_usage_pieces(context))}"
    paragraphs = [paragraph(each) for each in re.split(r"\n\s*\n", inspect.cleandoc(command.help or ""))]
    records = [each.get_help_record(context) for each in command.params if isinstance(each, click.Option)]
    rows = [f"| `{option}` | {meaning} |" for option, meaning in (cells(each) for each in records if each)]
    table = ["| Option | |", "| --- | --- |", *rows] if rows else []
    return "\n\n".join((usage, *paragraphs)), "\n".join(table)


def cells(record: tuple[str, str]) -> tuple[str, str]:
    """Return an option and its meaning as cells of a table."""
    option, meaning = (each.replace("|", "\\|") for each in record)
    return option.replace(" / ", "`, `"), meaning


def paragraph(text: str) -> str:
    """Return a paragraph of a help text; one that click leaves as it is, after a backspace, is a block of commands."""
    if text.startswith("\b"):
        return "\n".join(f"    {line.strip()}" for line in text.splitlines()[1:])
    return " ".join(text.split())


def with_commands(page: str) -> str:
    """Return the page of the commands with each section's generated parts made anew."""
    head, *sections = re.split(r"^(?=## emwatch )", page, flags=re.MULTILINE)
    there = {section.partition("\n")[0].removeprefix("## "): section for section in sections}
    contexts = {each.command_path: each for each in commands(cli, click.Context(cli, info_name="emwatch"))}
    if gone := there.keys() - contexts.keys():
        sys.exit(f"docs/cli.md: sections of commands that are not there: {', '.join(gone)}")
    made = []
    for name in dict.fromkeys((*there, *contexts)):
        above, options = described(contexts[name])
        own, below = by_hand(there.get(name, ""))
        if "--check" not in sys.argv:
            before = there.get(name, "").partition("\n| Option")[0].partition(BY_HAND)[0].split("\n\n")[1:]
            for each in {each.strip("\n") for each in before} - {"", *above.split("\n\n")}:
                print(f"replaced in {name}: {each}")
        parts = (f"## {name}", above, f"{BY_HAND}\n\n{own}" if own else "", options, below)
        made.append("\n\n".join(filter(None, parts)))
    return head + "\n\n".join(made) + "\n"


def by_hand(section: str) -> tuple[str, str]:
    """Return the prose of a section that a person wrote: above the options, and below them."""
    above, _, below = section.partition("\n| Option | |\n")
    return above.partition(BY_HAND)[2].strip(), re.sub(r"\A(\|.*(\n|\Z))*", "", below).strip()


KEYS = """\
# Every key of the configuration

Made from the program by `.ci/write_reference.py`. How files, variables and flags work together: [configuration](configuration.md).
A key without a default must be given. `EMWATCH_WATCH_MODE` is the environment variable of `watch.mode`, and so on.

{sections}

## The same as a file, with what each key means

`emwatch config example` prints it.

```yaml
{example}```
"""


def keys() -> str:
    """Return the page of the configuration's keys."""
    schema = Config.model_json_schema()
    sections = []
    for name, section in schema["properties"].items():
        model = referred(section.get("items", section), schema)
        sections.append(f"## {name}\n\n{model['description'].strip()}\n\n{table(model, schema)}")
    for kind, settings in BY_KIND.items():
        own = settings.model_json_schema()
        about = " ".join((own.get("description") or "").split("Attributes:")[0].replace("``", "`").split())
        sections.append(f"## alerts: a channel with `kind: {kind}`\n\n{about}\n\n{table(own, own)}")
    example = (ROOT / "config.example.yaml").read_text(encoding="utf-8")
    return KEYS.format(sections="\n\n".join(sections), example=example)


def table(model: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return the keys of one model as a table."""
    rows = [f"| `{key}` | {values} | {default} |" for key, values, default in rows_of(model, schema, "")]
    if not rows:
        return "It has no further keys."
    return "\n".join(("| Key | Values | Default |", "| --- | --- | --- |", *rows))


def rows_of(model: dict[str, Any], schema: dict[str, Any], above: str) -> Iterator[tuple[str, str, str]]:
    """Return key, values and default of each key of a model; the keys of a model inside it with a dot."""
    for name, found in model.get("properties", {}).items():
        inner = referred(found, schema)
        if "properties" in inner and found.get("default") is not None:
            yield from rows_of(inner, schema, f"{above}{name}.")
        elif "const" not in found:
            default = f"`{plain(found['default'])}`" if "default" in found else ""
            yield f"{above}{name}", values(found, schema), default


def values(found: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return which values a key takes, in words."""
    found = referred(found, schema)
    if either := found.get("anyOf", found.get("oneOf")):
        return " or ".join(dict.fromkeys(values(each, schema) for each in either))
    if "enum" in found:
        return ", ".join(f"`{each}`" for each in found["enum"])
    if "properties" in found:
        return ", ".join(f"`{name}`" for name in found["properties"])
    if isinstance(found.get("additionalProperties"), dict):
        return f"for each name: {values(found['additionalProperties'], schema)}"
    if found.get("type") == "array":
        return f"a list of: {values(found.get('items', {}), schema)}"
    word = {"integer": "a whole number", "boolean": "`true`, `false`", "null": "`null`", "number": "a number"}
    signs = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}", "exclusiveMaximum": "below {}"}
    limits = [sign.format(plain(found[name])) for name, sign in signs.items() if name in found]
    kind = "a path" if found.get("format") == "path" else word.get(found.get("type", ""), "text")
    return " ".join((kind, *limits))


def plain(value: Any) -> str:
    """Return a value as it is written in a file."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else json.dumps(value)


def referred(found: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the model that a part of a schema refers to, else the part itself."""
    name = found.get("$ref", "").rpartition("/")[2]
    return schema["$defs"][name] if name else found


if __name__ == "__main__":
    commands_page = ROOT / "docs" / "cli.md"
    pages = {commands_page: with_commands(commands_page.read_text(encoding="utf-8")), ROOT / "docs" / "keys.md": keys()}
    stale = [page for page, text in pages.items() if not page.exists() or page.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        sys.exit(
            f"not up to date: {', '.join(each.name for each in stale)}; run .ci/write_reference.py" if stale else 0
        )
    for page in stale:
        page.write_text(pages[page], encoding="utf-8")
        print(f"written: {page}")
