"""
The data bar reader against what eyes read: right, wrong and missing per field, and seconds per frame.

FOLDER holds the frames and a ``truth.tsv`` with the columns file, magnification, wd_mm, kV, tilt_deg, scalebar_length,
scalebar_unit, detector, date. A label counts as right only if the pixel size it led to was kept; a date only if it became a
time: the one that may be day or month first is refused by design and counts as missing. Numbers must be equal as
written; a detector and a date are compared without spaces and case.

    python bench/data_bar.py FOLDER [--each]

Needs the ``ocr`` extra. Loading the models is timed apart.
"""

from __future__ import annotations

import argparse
import csv
import resource
import statistics
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emwatch.readers import image
from emwatch.readers.data_bar.bar import find_bar, read_bar
from emwatch.readers.data_bar.ocr import RapidRecogniser
from emwatch.readers.data_bar.scale import label_nm
from emwatch.readers.sandbox.limits import Limits

if TYPE_CHECKING:
    from emwatch.frame import AcquisitionMetadata

NUMBERS = {
    "magnification": "magnification",
    "working_distance_mm": "wd_mm",
    "accelerating_voltage_kv": "kV",
    "stage_tilt_deg": "tilt_deg",
}
DATE_FORMS = (
    "%d %b %Y", "%b %d %Y", "%B %d %Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p",
    "%Y-%m-%d %H:%M", "%Y.%m.%d %H:%M", "%b %d %Y %H:%M",
)  # fmt: skip


def plain(text: str) -> str:
    """Drop spaces and case."""
    return "".join(text.split()).casefold()


def true_time(text: str) -> str:
    """Return a date as eyes read it in ISO 8601."""
    for form in DATE_FORMS:
        try:
            return datetime.strptime(text.title(), form).isoformat()  # noqa: DTZ007 - instruments name no zone.
        except ValueError:
            continue
    raise SystemExit(f"truth.tsv: {text!r} is in none of the known date forms")


def judge(metadata: AcquisitionMetadata, truth: dict[str, str]) -> dict[str, tuple[str, Any]]:
    """Return right, wrong or missing, and the value, for every field whose truth is known."""
    verdicts: dict[str, tuple[str, Any]] = {}

    def give(name: str, value: object, *, right: bool) -> None:
        verdicts[name] = ("missing" if value is None else "right" if right else "wrong", value)

    for field, column in NUMBERS.items():
        value = metadata.number(field)
        if truth[column]:
            give(field, value, right=value == float(truth[column]))
        elif value is not None:
            give(field, value, right=False)
    if truth["scalebar_length"]:
        wanted = label_nm(f"{truth['scalebar_length']} {truth['scalebar_unit']}")
        reading = metadata.readings.get("pixel_size_nm")
        if reading is not None and not reading.computed:
            give("scale bar or pixel size", reading.value, right=str(reading.value) in truth["notes"])
        else:
            give(
                "scale bar or pixel size",
                reading and reading.raw,
                right=reading is not None and label_nm(reading.raw) == wanted,
            )
    if truth["detector"]:
        detector = metadata.text("detector")
        give("detector", detector, right=plain(detector or "") == plain(truth["detector"]))
    elif metadata.text("detector"):
        give("detector", metadata.text("detector"), right=False)
    if truth["date"]:
        stamp = metadata.text("acquired_at")
        give("acquired_at", stamp, right=stamp is not None and true_time(truth["date"]).startswith(stamp))
    return verdicts


def measure(folder: Path, *, each: bool) -> int:
    """Print the table of a folder, and with ``each`` what is wrong or missing; returns the number of wrong values."""
    began = time.perf_counter()
    recogniser = RapidRecogniser()
    load_s = time.perf_counter() - began
    counts: dict[str, Counter[str]] = {}
    find_s, read_s = [], []
    with (folder / "truth.tsv").open(encoding="utf-8", newline="") as table:
        truths = list(csv.DictReader(table, delimiter="\t"))
    for truth in truths:
        data = (folder / truth["file"]).read_bytes()
        pixels = image.decode(truth["file"], data, image.read_header(truth["file"], data, Limits()))
        began = time.perf_counter()
        find_bar(pixels)
        find_s.append(time.perf_counter() - began)
        began = time.perf_counter()
        metadata = read_bar(pixels, recogniser)
        read_s.append(time.perf_counter() - began)
        for field, (verdict, value) in judge(metadata, truth).items():
            counts.setdefault(field, Counter())[verdict] += 1
            if each and verdict != "right":
                print(f"{truth['file'][-48:]:<50}{field} {verdict}: {value} {' '.join(metadata.flags)}")
    print(f"{'field':<28}{'right':>7}{'wrong':>7}{'missing':>9}")
    total: Counter[str] = Counter()
    for field, counter in counts.items():
        total += counter
        print(f"{field:<28}{counter['right']:>7}{counter['wrong']:>7}{counter['missing']:>9}")
    values = total.total()
    print(f"{'all':<28}{total['right']:>7}{total['wrong']:>7}{total['missing']:>9}")
    print(
        f"{values} values: {total['right'] / values:.1%} right, {total['wrong'] / values:.1%} wrong (targets >= 90 %, <= 1 %)"
    )
    print(
        f"{len(truths)} frames, median {statistics.median(read_s):.2f} s, slowest {max(read_s):.2f} s a frame (target median 1.5); "
        f"finding alone: median {1e3 * statistics.median(find_s):.1f} ms; models loaded in {load_s:.1f} s; "
        f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
    )
    return total["wrong"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", action="store_true", help="show what is wrong or missing, frame by frame")
    arguments = parser.parse_args()
    measure(arguments.folder, each=arguments.each)


if __name__ == "__main__":
    main()
