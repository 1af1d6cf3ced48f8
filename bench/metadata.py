"""
Metadata of real frames, vendor by field, against a truth table: emwatch beside tifffile and rosettasciio.

    python bench/metadata.py FOLDER [--rosettasciio PYTHON] [--repeats 5]

FOLDER holds frames and truth.tsv (columns file, vendor, magnification, tilt_deg, wd_mm, kV, pixel_size_nm, detector, timestamp).
PYTHON is an interpreter that has rosettasciio, which is not among emwatch's dependencies. A cell is right/wrong/missing; a value
where the truth says that there is none is wrong. Both others are granted the conversion of SI units that they leave to their
user, but not of what they present as degrees.

Where the table has the column scalebar_length it is of data bars (see bench/data_bar.py): then what is read of those is
measured, with the ``ocr`` extra.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib.util
import json
import logging
import math
import re
import statistics
import subprocess
import sys
import time
import warnings
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Values = dict[str, Any]

#: Column of the truth table, and how far from it a number may be (relative).
NUMBERS = {"magnification": 0.005, "tilt_deg": 0.005, "wd_mm": 0.005, "kV": 0.005, "pixel_size_nm": 0.01}
TEXTS = ("detector", "timestamp")
COLUMNS = (*NUMBERS, *TEXTS)
STAMPS = (
    "%d %b %Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p",
    "%Y-%m-%d %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y:%m:%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
)
NM = {"m": 1e9, "mm": 1e6, "um": 1e3, "µm": 1e3, "nm": 1.0, "pm": 1e-3}


def iso(stamp: str) -> str:
    """Bring a stamp of any of the forms above to ISO 8601, and leave what is of none as it is."""
    for form in STAMPS:
        with contextlib.suppress(ValueError):
            return datetime.strptime(stamp.strip(), form).isoformat()  # noqa: DTZ007 - truth and readers name no zone.
    return stamp


def by_emwatch(path: Path) -> Values:
    """Read with emwatch."""
    from emwatch.readers.frame_reader import read_frame

    found = read_frame(path, None).metadata
    return {
        "magnification": found.number("magnification"),
        "tilt_deg": found.number("stage_tilt_deg"),
        "wd_mm": found.number("working_distance_mm"),
        "kV": found.number("accelerating_voltage_kv"),
        "pixel_size_nm": found.number("pixel_size_nm"),
        "detector": found.text("detector"),
        "timestamp": (found.text("acquired_at") or "").removesuffix("+00:00"),
    }


def by_tifffile(path: Path) -> Values:
    """Read with tifffile's own decoding of vendor tags; XML and unnamed blocks it leaves as they are."""
    import tifffile

    if path.suffix.lower() not in {".tif", ".tiff"}:
        return {}
    with tifffile.TiffFile(path) as file:
        if file.sem_metadata:
            return _zeiss_of_tifffile(file.sem_metadata)
        if file.sis_metadata:
            sis = file.sis_metadata
            return {
                "magnification": sis.get("magnification"),
                "pixel_size_nm": _times(sis.get("pixelsizex"), 1e9),
                "timestamp": sis["datetime"].isoformat() if "datetime" in sis else None,
            }
        return _fei_of_tifffile(file.fei_metadata or {})


def _zeiss_of_tifffile(sem: Any) -> Values:
    def quantity(key: str, scale: dict[str, float]) -> Any:
        entry = sem.get(key, ())
        if len(entry) < 2:
            return None
        return _times(entry[1], scale.get(entry[2] if len(entry) > 2 else "", 1.0))

    pixel = "ap_image_pixel_size" if "ap_image_pixel_size" in sem else "ap_pixel_size"
    return {
        "magnification": quantity("ap_mag", {"K X": 1e3}),
        "tilt_deg": quantity("ap_stage_at_t", {}),
        "wd_mm": quantity("ap_wd", {"µm": 1e-3}),
        "kV": quantity("ap_actualkv", {"V": 1e-3}),
        "pixel_size_nm": quantity(pixel, NM),
        "detector": (sem.get("dp_detector_channel") or (None, None))[1],
        "timestamp": " ".join(str((sem.get(key) or ("", ""))[1]) for key in ("ap_date", "ap_time")).strip(),
    }


def _fei_of_tifffile(fei: Any) -> Values:
    if "DatabarData" in fei:
        bar, vector = fei["DatabarData"], fei.get("Vector", {})
        return {
            "magnification": vector.get("Magnification"),
            "wd_mm": bar.get("flWD"),
            "kV": _times(bar.get("flAccV"), 1e-3),
        }
    beam = fei.get(fei.get("Beam", {}).get("Beam", "EBeam"), {})
    user = fei.get("User", {})
    return {
        "tilt_deg": _times(fei.get("Stage", {}).get("StageT"), 180 / math.pi),
        "wd_mm": _times(beam.get("WD"), 1e3),
        "kV": _times(beam.get("HV"), 1e-3),
        "pixel_size_nm": _times(fei.get("Scan", {}).get("PixelWidth"), 1e9),
        "detector": fei.get("Detectors", {}).get("Name"),
        "timestamp": f"{user['Date']} {user['Time']}" if "Date" in user and "Time" in user else None,
    }


def _times(value: Any, factor: float) -> Any:
    """Scale a number; what the parser left as text stays text, and counts as wrong."""
    return value * factor if isinstance(value, (int, float)) else value


def by_rosettasciio(path: Path) -> Values:
    """Read with rosettasciio; its metadata tree says kV, mm and degrees."""
    from rsciio.tiff import file_reader

    if path.suffix.lower() not in {".tif", ".tiff"}:
        return {}
    signal = file_reader(str(path))[0]
    sem: Values = {}
    # What HyperSpy does on loading: each rule says where in the file's own metadata a value is, where to, and how.
    for origin, (target, convert) in signal.get("mapping", {}).items():
        value = signal["original_metadata"]
        for key in origin.split("."):
            value = value.get(key) if hasattr(value, "get") else None
        if value is not None:
            sem[target.removeprefix("Acquisition_instrument.SEM.")] = convert(value) if convert else value
    general = signal.get("metadata", {}).get("General", {})
    date, clock = (sem.get(f"General.{key}", general.get(key)) for key in ("date", "time"))
    axis = next((axis for axis in signal.get("axes", ()) if axis.get("name") in {"width", "x"}), {})
    return {
        "magnification": sem.get("magnification"),
        "tilt_deg": sem.get("Stage.tilt"),
        "wd_mm": sem.get("working_distance"),
        "kV": sem.get("beam_energy"),
        "pixel_size_nm": _times(axis.get("scale"), NM[axis["units"]]) if axis.get("units") in NM else None,
        "detector": sem.get("Detector.detector_type", sem.get("detector_type")),
        "timestamp": f"{date} {clock}" if date and clock else None,
    }


def answers(read: Callable[[Path], Values], files: Iterable[Path]) -> dict[str, Values]:
    """Read all files; whatever a reader raises is its own failure and gives nothing."""
    logging.disable(logging.CRITICAL)
    found = {}
    for path in files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                values = read(path)
            except Exception as error:  # noqa: BLE001 - other people's parsers raise anything; it counts as missing.
                values = {"error": f"{type(error).__name__}: {error}"[:100]}
        found[str(path)] = {
            key: value if isinstance(value, (int, float)) else None if value is None else str(value)
            for key, value in values.items()
        }
    return found


def verdict(column: str, truth: str, value: Any) -> str:
    """Judge one value: right, wrong, missing, or nothing where neither has one."""
    if value is None or value == "":
        return "missing" if truth else ""
    if column in NUMBERS:
        number = isinstance(value, (int, float)) and bool(truth)
        right = number and math.isclose(value, float(truth), rel_tol=NUMBERS[column], abs_tol=1e-9)
    else:
        right = iso(str(value)) == iso(truth) if column == "timestamp" else str(value) == truth
    return "right" if right else "wrong"


def table(title: str, rows: list[dict[str, str]], found: dict[str, Values], folder: Path) -> list[str]:
    """Print vendor by field; return the wrong values in words."""
    cells: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    wrong = []
    for row in rows:
        values = found.get(str(folder / row["file"]), {})
        for column in COLUMNS:
            truth = "" if re.match(r"lDetName=", row.get(column) or "") else row.get(column) or ""  # a code, no name
            judged = verdict(column, truth, values.get(column))
            if judged:
                cells[row["vendor"]][column][judged] += 1
                cells["all"][column][judged] += 1
            if judged == "wrong":
                wrong.append(f"{row['file']}: {column} {values[column]!r}, truth {truth or 'none'!r}")
    print(f"\n{title}  (right/wrong/missing)")
    print(f"  {'vendor':<24}" + "".join(f"{column:>15}" for column in COLUMNS))
    for vendor in [*dict.fromkeys(row["vendor"] for row in rows), "all"]:
        counts = (cells[vendor][column] for column in COLUMNS)
        shown = (
            "/".join(str(each[kind]) for kind in ("right", "wrong", "missing")) if each else "-" for each in counts
        )
        print(f"  {vendor[:24]:<24}" + "".join(f"{cell:>15}" for cell in shown))
    total: Counter[str] = sum((cells["all"][column] for column in COLUMNS), Counter())
    asked = sum(total.values())
    print(f"  right {total['right']} of {asked}, wrong {total['wrong']}, missing {total['missing']}")
    return wrong


def costs(rows: list[dict[str, str]], folder: Path, repeats: int) -> None:
    """Print what emwatch's reading costs: bytes, sha256, header and metadata of a file in the cache, no pixels."""
    from emwatch.readers.frame_reader import read_frame

    each: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        took = []
        for _ in range(repeats):
            start = time.perf_counter()
            read_frame(folder / row["file"], None)
            took.append((time.perf_counter() - start) * 1000)
        each[row["vendor"]].append(statistics.median(took))
    print(f"\nemwatch: ms per frame (median of {repeats}; bytes, sha256, header and metadata; no pixels, one process)")
    print(f"  {'vendor':<24}{'median':>10}{'slowest':>10}")
    for vendor, times in each.items():
        print(f"  {vendor[:24]:<24}{statistics.median(times):>10.1f}{max(times):>10.1f}")
    everything = [took for times in each.values() for took in times]
    print(f"  {'all':<24}{statistics.median(everything):>10.1f}{max(everything):>10.1f}")


def main() -> int:
    """Print the tables; 1 if emwatch has a value wrong."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--rosettasciio", metavar="PYTHON", help="an interpreter that has rosettasciio")
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--only-rosettasciio", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    with (given.folder / "truth.tsv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if (given.folder / row["file"]).is_file()]
    if rows and "scalebar_length" in rows[0]:
        # Beside this script, which Python puts first on the module path. Frames without headers: nobody else reads them.
        from data_bar import measure

        return 1 if measure(given.folder, each=True) else 0
    files = [given.folder / row["file"] for row in rows]
    if given.only_rosettasciio:
        json.dump(answers(by_rosettasciio, files), sys.stdout)
        return 0
    wrong = table("emwatch", rows, answers(by_emwatch, files), given.folder)
    print(*(f"  wrong: {line}" for line in wrong), sep="\n")
    if importlib.util.find_spec("tifffile"):
        table("tifffile", rows, answers(by_tifffile, files), given.folder)
    else:
        print("\ntifffile is not installed here: not compared")
    rosettasciio(given, rows)
    costs(rows, given.folder, given.repeats)
    return 1 if wrong else 0


def rosettasciio(given: argparse.Namespace, rows: list[dict[str, str]]) -> None:
    """Compare rosettasciio, in the interpreter that has it."""
    python = given.rosettasciio or (sys.executable if importlib.util.find_spec("rsciio") else None)
    if python is None:
        print(
            "\nrosettasciio is not installed here: not compared (name an interpreter that has it: --rosettasciio PYTHON)"
        )
        return
    command = [python, __file__, "--only-rosettasciio", str(given.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"\nrosettasciio could not be run by {python}: {done.stderr.strip().splitlines()[-1:]}")
        return
    table("rosettasciio", rows, json.loads(done.stdout), given.folder)


if __name__ == "__main__":
    sys.exit(main())
