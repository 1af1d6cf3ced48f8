"""INI text as instruments write it: damaged, doubled, NUL padded, and never an error."""

from __future__ import annotations

from emwatch.readers.field_table import whole_lines


def read_ini(header: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """
    Give the values by ``Section.Key``, and flags for what was odd.

    Of a key that comes twice in a section the first value that is not empty counts. A last line without its end is marked
    as `whole_lines` does.
    """
    values: dict[str, str] = {}
    sections: set[str] = set()
    flags: list[str] = []
    section = ""
    for line in whole_lines(header).split("\n"):
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]") and len(stripped) <= 100:
            section = stripped[1:-1].strip()
            if section in sections:
                flags.append(f"section [{section}] comes twice")
            sections.add(section)
        elif "=" in stripped:
            key, _, value = stripped.partition("=")
            name = f"{section}.{key.strip()[:100]}"
            if not values.get(name):
                values[name] = value.strip()
    return values, tuple(dict.fromkeys(flags))
