"""XML as instruments write it, indented by two spaces; written only, never parsed."""

from __future__ import annotations

import textwrap
from html import escape


def leaf(name: str, value: object = "", /, **attributes: object) -> str:
    """Return an element with a text; an empty one is ``<name/>``."""
    text = escape(str(value), quote=False)
    return f"<{name}{_written(attributes)}>{text}</{name}>" if text else f"<{name}{_written(attributes)}/>"


def branch(name: str, *children: str, **attributes: object) -> str:
    """Return an element with elements in it, one a line."""
    inside = "".join(f"{textwrap.indent(child, '  ')}\n" for child in children)
    return f"<{name}{_written(attributes)}>\n{inside}</{name}>"


def _written(attributes: dict[str, object]) -> str:
    """Write attributes; ``xmlns_xsi`` stands for ``xmlns:xsi``, which Python cannot name."""
    return "".join(f' {name.replace("_", ":")}="{escape(str(value))}"' for name, value in attributes.items())
