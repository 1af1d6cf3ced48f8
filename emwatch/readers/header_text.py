"""
The texts that instruments write, in a tag or in a file beside the frame: damaged, doubled, padded, in any encoding.

Nothing here raises for damaged content. XML is never expanded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from emwatch.readers.raw_frame import Findings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from xml.etree.ElementTree import Element

    from emwatch.frame import Reading
    from emwatch.readers.raw_frame import RawFrame, TextBeside

#: Ends a text whose last line has no end: half of "WD=0.0107" is a distance too. No instrument writes this code point.
CUT: Final = "\ufdd0"

_LONGEST_HEADING_CHARS: Final = 100
_LONGEST_KEY_CHARS: Final = 100
_SPACING: Final = str.maketrans("", "", " _")

_MARKS: Final = (
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"\xef\xbb\xbf", "utf-8"),
)

#: File systems round times (FAT to 2 s), and a picture may be closed a moment after its text.
OLDER_S: Final = 2.0


class HeaderText(Mapping[str, str]):
    """
    The values of a header by key, ``Section.Key`` if it has sections.

    Capitals, blanks and underscores of a key do not count: firmware versions of one maker write ``DNumber`` and
    ``Dnumber``, ``Horfieldsize`` and ``HorFieldsize``. Of a key that comes twice the first value that is not empty counts.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._by_key: dict[str, str] = {}
        for key, value in pairs:
            self.add(key, value)

    def __getitem__(self, key: str) -> str:
        return self._by_key[_folded(key)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)

    def add(self, key: str, value: str) -> None:
        """Add a value, unless the key has one already."""
        folded = _folded(key)
        if not self._by_key.get(folded):
            self._by_key[folded] = value

    def below(self, section: str) -> HeaderText:
        """Return the values of one section, without its name."""
        start = f"{_folded(section)}."
        return HeaderText((key[len(start) :], value) for key, value in self._by_key.items() if key.startswith(start))

    def add_below(self, section: str, values: Mapping[str, str]) -> None:
        """Add values as those of a section."""
        for key, value in values.items():
            self.add(f"{section}.{key}", value)


@lru_cache(maxsize=4096)
def _folded(key: str) -> str:
    return key.casefold().translate(_SPACING)


def whole_lines(content: str, end: str = "\n") -> str:
    """
    Return a text without NUL padding and with plain line ends; one that breaks off within a line ends with `CUT`.

    All makers end the last line as well; a sidecar that is being written, or a block cut short, does not.
    """
    plain = content.replace("\x00", "").replace("\r", "\n")
    return plain if not plain or plain.endswith(end) else plain + CUT


def read_ini(header: str, separator: str = "=") -> tuple[HeaderText, tuple[str, ...]]:
    """
    Return the values of INI text by ``Section.Key``, and flags for what is odd.

    A section within another may be written ``[   - Name]``. A last line without its end is marked as `whole_lines` does.
    """
    values = HeaderText()
    sections: set[str] = set()
    flags: list[str] = []
    section = ""
    for line in whole_lines(header).split("\n"):
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]") and len(stripped) <= _LONGEST_HEADING_CHARS:
            section = stripped[1:-1].strip(" -")
            if section in sections:
                flags.append(f"section [{section}] comes twice")
            sections.add(section)
        elif separator in stripped:
            key, _, value = stripped.partition(separator)
            values.add(f"{section}.{key.strip()[:_LONGEST_KEY_CHARS]}", value.strip())
    return values, tuple(dict.fromkeys(flags))


@dataclass(frozen=True, slots=True)
class XmlTagReader:
    """
    A maker's TIFF with an XML document in a tag.

    ``root``: how its root element begins, such as ``b"<Fibics"``: makers write other documents into the same tags.
    ``understand``: returns the readings of the root element, given the frame and the source of a reading.
    """

    vendor: str
    number: int
    root: bytes
    understand: Callable[[Element, RawFrame, str], dict[str, Reading]]

    def recognises(self, frame: RawFrame) -> bool:
        """Return whether the frame has the tag with this root."""
        return self.root in (frame.tag(self.number) or b"")[:2000]

    def read(self, frame: RawFrame) -> Findings:
        """Decode the XML."""
        source = f"tag {self.number}"
        root, flags = parse_xml(frame.tag(self.number) or b"", source)
        return Findings({} if root is None else self.understand(root, frame, source), flags)


def parse_xml(raw: bytes, source: str) -> tuple[Element | None, tuple[str, ...]]:
    """
    Parse a block of XML. Damage returns no root, and a flag that names the ``source``.

    A document type is refused: its entities can grow without bound.
    """
    raw = raw.strip(b"\x00 \r\n\t")
    if b"\x00" in raw:  # UTF-16, which no instrument writes, would hide a document type from the next line
        return None, (f"{source} is damaged: zero bytes within",)
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        return None, (f"{source} has a document type, which is not read",)
    from xml.etree import ElementTree as ET  # few instruments write it; the child starts faster without.

    try:
        return ET.fromstring(raw), ()  # noqa: S314 - no document type, so no entities to expand.
    except (ET.ParseError, ValueError, LookupError) as error:
        return None, (f"{source} is damaged: {str(error)[:100]}",)


def decode_text(data: bytes, legacy: str) -> str:
    """
    Decode text with or without a byte order mark: UTF-16, UTF-8, else ``legacy``. What does not fit becomes U+FFFD.

    UTF-16 without a mark is known by its zero bytes: every other one of ASCII text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    start = data[:200]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = start[first::2]
        if len(start) >= 8 and zeros.count(0) > 0.8 * len(zeros) and start[1 - first :: 2].count(0) < 0.2 * len(zeros):
            return data.decode(encoding, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(legacy, errors="replace")


def find_sidecar(
    frame: RawFrame, names: Iterable[str], legacy: str, is_ours: Callable[[str], bool]
) -> tuple[TextBeside, str] | None:
    """
    Return the text file beside a frame and its text; ``None`` if ``is_ours`` accepts no file of these names.

    Each name is also tried with its last suffix in capitals. ``legacy`` is the encoding of text that is not Unicode. Of
    several files the first that names the picture is taken, else the first that is not older than the picture.
    """
    found: list[tuple[TextBeside, str]] = []
    for candidate in dict.fromkeys(variant for name in names for variant in (name, _in_capitals(name))):
        sidecar = frame.sidecar(candidate)
        if sidecar is not None and is_ours(text := decode_text(sidecar.data, legacy)):
            cut = whole_lines(text).endswith(CUT)
            found.append((replace(sidecar, identity=replace(sidecar.identity, cut=cut)), text))
    return min(found, key=lambda each: _likeliness(frame, *each), default=None)


def _likeliness(frame: RawFrame, sidecar: TextBeside, content: str) -> tuple[bool, bool]:
    return not _names_picture(frame, content), seconds_older(frame, sidecar) > OLDER_S


def _names_picture(frame: RawFrame, content: str) -> bool:
    return frame.path.name.casefold() in content.casefold()


def seconds_older(frame: RawFrame, sidecar: TextBeside) -> float:
    """Return by how much a text is older than its picture, in seconds; 0.0 if it is younger or the age is not known."""
    return 0.0 if frame.modified_s is None else max(0.0, frame.modified_s - sidecar.identity.mtime_ns / 1e9)


def sidecar_flags(frame: RawFrame, sidecar: TextBeside, content: str) -> tuple[str, ...]:
    """Return flags for a sidecar whose last line has no end, and for one that is older than its picture."""
    name, older_s = sidecar.identity.name, seconds_older(frame, sidecar)
    cut = (f"sidecar {name} breaks off: it is still being written, or was cut",) if sidecar.identity.cut else ()
    if older_s <= OLDER_S or _names_picture(frame, content):
        return cut
    return (*cut, f"sidecar {name} is {_span(older_s)} older than the picture: it may belong to an earlier frame")


def _span(seconds: float) -> str:
    for unit, length_s in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def _in_capitals(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem + dot + suffix.upper()
