"""Hand-built TIFFs and vendor headers for the readers' tests."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: A SmartSEM header cut down to the lines that are read, as V05 to V06 writes them.
ZEISS_LINES = {
    "AP_MAG": "Mag =   2.50 K X",
    "AP_WIDTH": "Width = 45.00 \u00b5m",
    "AP_HEIGHT": "Height = 33.75 \u00b5m",
    "AP_PIXEL_SIZE": "Pixel Size = 43.95 nm",
    "AP_IMAGE_PIXEL_SIZE": "Image Pixel Size = 703.1 nm",
    "AP_STAGE_AT_T": "Stage at T =  52.6 \u00b0",
    "AP_STAGE_AT_R": "Stage at R =  15.1 \u00b0",
    "AP_STAGE_AT_X": "Stage at X = 47.8473 mm",
    "AP_STAGE_AT_Y": "Stage at Y = 32.614 mm",
    "AP_STAGE_AT_Z": "Stage at Z = 25.342 mm",
    "AP_TILT_ANGLE": "Tilt Angle =  36.0 \u00b0",
    "AP_WD": "WD =  4.5 mm",
    "AP_ACTUALKV": "EHT =  1.80 kV",
    "AP_MANUALKV": "EHT Target =  3.00 kV",
    "AP_IPROBE": "I Probe =    690 pA",
    "AP_SCANROTATION": "Scan Rotation =  24.2 \u00b0",
    "AP_DATE": "Date :8 Jan 2021",
    "AP_TIME": "Time :9:56:16",
    "DP_FIB_IMAGING": "FIB Imaging = SEM",
    "DP_DETECTOR_CHANNEL": "Signal A = InLens",
    "DP_DETECTOR_TYPE": "Detector = SE2",
    "DP_TILT_CORRECTION": "Tilt Corrn. = Off",
    "DP_SCAN_ROT": "Scan Rot = On",
    "DP_DWELL_TIME": "Dwell Time = 100 ns",
    "DP_SEM": "Sem = Auriga 60",
    "SV_SERIAL_NUMBER": "Serial No. = AURIGA-39-45",
    "SV_VERSION": "Version = V05.04.05.00 : 21-Oct-11",
    "SV_OPERATOR": "Operator = ",
    "SV_USER_NAME": "User Name = SCHMIDT",
    "SV_SAMPLE_ID": "Sample ID = A = B",
}

FEI_SECTIONS: dict[str, dict[str, str]] = {
    "User": {
        "Date": "04/05/2019",
        "Time": "01:28:49 PM",
        "User": "support",
        "UserText": "TiO?",
        "UserTextUnicode": "540069004F008220",
    },
    "System": {"SystemType": 'Helios NanoLab" 660', "Dnumber": "D8883", "Software": "7.7.1", "DisplayWidth": "0.518"},
    "Beam": {"HV": "2000", "Beam": "EBeam", "Scan": "EScan", "ScanRotation": "0"},
    "EBeam": {
        "HV": "2000",
        "HFW": "2.072e-006",
        "WD": "0.00503875",
        "BeamCurrent": "5e-011",
        "TiltCorrectionIsOn": "no",
        "TiltCorrectionAngle": "-0.5235988",
        "ScanRotation": "6.2645",
        "StageTa": "0.1",
    },
    "IBeam": {"HV": "30000", "HFW": "0.00015", "WD": "0.0165", "BeamCurrent": "2e-011"},
    "Scan": {
        "Dwelltime": "1e-006",
        "PixelWidth": "6.475e-008",
        "PixelHeight": "6.575e-008",
        "HorFieldsize": "2.072e-006",
    },
    "Stage": {
        "StageX": "-0.00135896",
        "StageY": "-0.0290365",
        "StageZ": "0.00500045",
        "StageR": "-2.26881",
        "StageT": "0.523618",
        "WorkingDistance": "0.005",
    },
    "Image": {"ResolutionX": "32", "ResolutionY": "24", "MagCanvasRealWidth": "0.41440", "MagnificationMode": "2"},
    "Detectors": {"Number": "1", "Name": "ETD", "Mode": "SE"},
    "PrivateFei": {"TimeOfCreation": "03.05.2017 16:31:35", "DatabarHeight": "0"},
}


TESCAN_SECTIONS: dict[str, dict[str, str]] = {
    "MAIN": {
        "Date": "2024-03-08",
        "Description": "Co",
        "Device": "VEGA3 SBU",
        "FullUserName": "Teplonogova M.",
        "ImageStripSize": "6",
        "Magnification": "10.000e3",
        "PixelSizeX": "27.500e-9",
        "PixelSizeY": "27.600e-9",
        "SerialNumber": "116-0006",
        "Time": "13:14:09",
        "UserName": "User",
        "Version": "4.2.36.0",
    },
    "SEM": {
        "BeamCurrent": "0.0000000001",
        "Detector": "SE",
        "DwellTime": "0.0000032",
        "HV": "20.000e3",
        "PredictedBeamCurrent": "9e-9",
        "ScanRotation": "18.0",
        "SpecimenCurrent": "65.6410256410e-12",
        "StageRotation": "89.99692",
        "StageTilt": "55.0",
        "StageX": "11.99904e-3",
        "StageY": "-16.31934e-3",
        "StageZ": "0.003000001",
        "TiltCorrection": "0.0",
        "WD": "10.863e-3",
    },
}


def sections_text(
    sections: dict[str, dict[str, str]],
    changes: dict[str, str | None] | None,
    *,
    newline: str = "\r\n",
    headings: bool = True,
) -> dict[str, str]:
    """Write INI sections as text by name; changes by ``Section.Key``, None leaves the key out."""
    changes = dict(changes or {})
    written = {}
    for section, keys in sections.items():
        found = {key: changes.pop(f"{section}.{key}", value) for key, value in keys.items()}
        found |= {name.partition(".")[2]: changes.pop(name) for name in list(changes) if name.startswith(f"{section}.")}
        lines = [f"[{section}]"] if headings else []
        lines += [f"{key}={value}" for key, value in found.items() if value is not None]
        written[section] = newline.join(lines) + newline
    assert not changes, f"unknown sections: {changes}"
    return written


def tescan_hdr(changes: dict[str, str | None] | None = None) -> bytes:
    """Write Tescan's sidecar."""
    return "\r\n".join(sections_text(TESCAN_SECTIONS, changes).values()).encode()


def tescan_tag(changes: dict[str, str | None] | None = None, *, newline: str = "\r\n", beam_block: int = 3) -> bytes:
    """Write Tescan's blocks: a thumbnail, [MAIN], the beam's section, and the end."""
    texts = sections_text(TESCAN_SECTIONS, changes, newline=newline, headings=False)
    blocks = ((1, b"\xff\x4f\xff\x51[SEM]\nHV=1"), (2, texts["MAIN"].encode()), (beam_block, texts["SEM"].encode()))
    return b"".join(struct.pack("<IH", len(b) + 2, kind) + b for kind, b in blocks) + struct.pack("<IH", 2, 0)


JEOL_LINES = {
    "$CM_FORMAT": "JEOL-SEM",
    "$CM_SIGNAL": "COMPO",
    "$CM_ACCEL_VOLT": "15.00",
    "$$SM_WD": "10.75",
    "$CM_MAG": "1800",
    "$$SM_SCAN_ROTATION": "12.50",
    "$CM_STAGE_POS": "30.6525 -59.5000 11.0000 359.51052 15.5 0",
    "$$SM_PROBE_CURRENT": "2.50e-008",
    "$CM_COMMENT": "alloy",
    "$CM_DATE": "2020/09/05",
    "$CM_TIME": "14:55:12",
    "$CM_OPERATOR": "UMNUser",
    "$CM_INSTRUMENT": "8530F",
    "$$SM_MICRON_BAR": "8",
    "$$SM_MICRON_MARKER": "10um",
    "$CM_TITLE": "image000",
    "$CM_FULL_SIZE": "32 24",
}

JEOL_NOTE = {
    "$CM_FORMAT": "JEOL/FE",
    "$CM_IMAGE_SIZE": "32 24",
    "$CM_MAG": "50000",
    "$CM_STAGE_POSITION": "-9.07425 2.0025 10.999488 359.51052 15.5 0",
    "$CM_ACCEL_VOLT": "10",
    "$CM_FIELD_OF_VIEW": "2.56 1.92\u03bcm",
    "$CM_PIXEL_SIZE": "80.00nm/pixel",
    "$CM_DATE": "",
    "$SM_STANDARD_FIELD_SIZE": "128 96",
    "$SM_MICRON_MARKER": "100nm",
    "$SM_MICRON_BAR": "99",
    "$SM_PNU_HEIGHT": "6",
    "$SM_NICKNAME": "JSM-IT800",
    "$SM_DETECTOR": "Led",
    "$SM_WD": "10.26948",
    "$SM_SCAN_ROTATION": "12.5",
    "$SM_PROBE_CURRENT": "7",
    "$SM_MONITOR_MAGNIFICATION": "171528",
    "$SM_TILT_MAG_CORRECTION": "0",
    "$SM_DWELL_TIME": "14.1\u03bcs",
    "$FE_DETECTOR_NAME": "SED",
}

HITACHI_KEYS = {
    "InstructName": "TM4000",
    "SemVersion": "01-08",
    "SerialNumber": "2170A6-05",
    "SampleName": "\u30bf\u30f3\u30dd\u30dd",
    "ImageName": "\u30bf\u30f3\u30dd\u30dd-1.tif",
    "Date": "2021/06/23",
    "Time": "16:43:33",
    "DataSize": "32x30",
    "PixelSize": "3307.2917",
    "SignalName": "BSE",
    "AcceleratingVoltage": "15000 Volt",
    "DecelerationVoltage": "0 Volt",
    "Magnification": "1200",
    "WorkingDistance": "7920.5 um",
    "EmissionCurrent": "46900 nA",
    "MicronMarker": "40000",
    "Condition": "Vacc=15.0kV Mag=x1.20k WD=7.9mm LensMode=3",
    "StagePositionX": "17500000",
    "StagePositionY": "-1250000",
    "StagePositionR": "90.500",
    "StagePositionZ": "3000000",
    "StagePositionT": "15.500",
    "TiltCompensation": "0",
    "RasterRotation": "10.2",
    "UserName": "Sato",
}


def jeol_txt(changes: dict[str, str | None] | None = None) -> bytes:
    """Write JEOL's sidecar."""
    lines = {**JEOL_LINES, **(changes or {})}
    return "".join(f"{key} {value}\r\n" for key, value in lines.items() if value is not None).encode("cp1252")


def jeol_tiff(
    changes: dict[str, str | None] | None = None,
    *,
    stamp: bytes = b"2025:02:03 10:32:00\x00",
    pixels: np.ndarray | None = None,
) -> bytes:
    """Write a TIFF with JEOL's MakerNote in its Exif directory, and the XP tags that Windows reads."""
    pairs = {**JEOL_NOTE, **(changes or {})}
    text = "\t".join(f"{key}={value}" for key, value in pairs.items() if value is not None)
    note = b"UNICODE\x00" + text.encode("utf-16-le")
    pixels = np.arange(32 * 30, dtype=np.uint8).reshape(30, 32) | 1 if pixels is None else pixels
    xp = {40092: (1, b"\x00\x00\x00\x00"), 40093: (1, "External\x00".encode("utf-16-le"))}
    at = len(tiff_bytes(pixels, replace={34665: (4, (0,)), **xp}))
    data = tiff_bytes(pixels, replace={34665: (4, (at,)), **xp})
    start = at + 2 + 2 * 12 + 4
    exif = struct.pack("<HHHIIHHIII", 2, 36867, 2, len(stamp), start, 37500, 7, len(note), start + len(stamp), 0)
    return data + exif + stamp + note


def hitachi_txt(changes: dict[str, str | None] | None = None, *, encoding: str = "utf-16") -> bytes:
    """Write Hitachi's sidecar."""
    text = sections_text({"SemImageFile": HITACHI_KEYS}, {f"SemImageFile.{k}": v for k, v in (changes or {}).items()})
    return text["SemImageFile"].encode(encoding)


def hitachi_tags(changes: dict[str, str | None] | None = None) -> dict[int, bytes]:
    """Write the XP tags of a TM4000."""
    kept = ("SerialNumber", "PixelSize", "Condition", "SignalName")
    values = {key: HITACHI_KEYS[key] for key in kept} | {"EmissionCurrent": "46900"} | (changes or {})
    comment = "\r\n".join(f"{key}={value}" for key, value in values.items() if value is not None)
    return {40092: comment.encode("utf-16-le"), 40093: "TM4000".encode("utf-16-le")}


XL_SECTIONS: dict[str, dict[str, str]] = {
    "DatabarData": {
        "flAccV": "5000.000",
        "flMagn": "    0.00979166664",
        "lDetName": "2",
        "flWD": "4.828",
        "szUserText": "UW MAF",
        "flIonAccV": "30000.000",
        "flIonWD": "16.500",
    },
    "ImageDevice": {"DeviceName": "2", "SizeY": "235.00000", "RatioXY": "1.33300"},
    "MachineData": {"MachineNumber": "918"},
    "Vector": {
        "flStageXPosition": "82896800",
        "SpecimenRotation": "-76696929",
        "SpecimenTilt": "2172",
        "Magnification": "12000.000",
        "HighTension": "5000.000",
        "FWD": "4.828",
    },
}

PHENOM_XML = """<?xml version="1.0" encoding="UTF-8"?>
<FeiImage xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<databarHeight>6</databarHeight><databarLabel>grid</databarLabel><displayWidth>0</displayWidth>
<pixelWidth unit="nm">975.5</pixelWidth><pixelHeight unit="um">0.9765</pixelHeight><time>2019-08-07T09:37:31</time>
<currentUser>Ida</currentUser><samplePosition><x>-0.0025</x><y>-0.00075</y></samplePosition>
<multiStage><axis id="X">0.0026</axis></multiStage>
<acquisition><scan><dwellTime unit="ns">200</dwellTime><rotation>0</rotation><detector>bsd-all</detector>
<detectors><SED><gain>0</gain></SED></detectors><highVoltage unit="kV">-15</highVoltage>
<emissionCurrent unit="uA">40.3</emissionCurrent></scan></acquisition>
<workingDistance unit="mm">8.25</workingDistance>
<instrument><type>PhenomXL</type><softwareVersion>5.4.5</softwareVersion><uniqueID>MVE-1</uniqueID><edition>G5 XL</edition>
</instrument></FeiImage>"""

SEC_TEXT = """[Image Info]
Model : SNE-4500M Plus
Date : 2019-12-03 \uc624\ud6c4 7:34:06
Time : 19:34:06.0269059
File Name : D:\\DATA\\x500 __453.jpg
Acceleated Voltage :  20 kV
Magnification : x500
Emission Current : 110uA
Detector Mode : SED
[Running Info]
Magnification : x500
Scan Rotaion : 12.5\u00b0
[   - Working Distance]
Default Working Distance : 0mm
Working Distance : 5mm
[   - Rotation]
Scan Rotation : -68250
[Active Scan]
Pixel Size : 0.7
"""

FIBSEM_STATE = """{"image": {"resolution": [32, 24], "dwell_time": 1e-06, "hfw": 0.00015, "beam_type": "ELECTRON", "path": null},
"pixel_size": {"x": 4.6875e-06, "y": 4.7e-06},
"microscope_state": {"timestamp": "2024-05-01T10:20:30.123456",
"stage_position": {"x": 0.001, "y": -0.002, "z": 0.004, "r": 3.141592653589793, "t": 0.5235987755982988},
"electron_beam": {"working_distance": 0.004, "beam_current": 1e-09, "voltage": 2000, "hfw": 0.00015, "scan_rotation": 0.0},
"ion_beam": {"working_distance": 0.0165, "beam_current": 2e-11, "voltage": 30000, "hfw": 0.0001, "scan_rotation": 0.0},
"electron_detector": {"type": "ETD"}, "ion_detector": {"type": "ICE"}},
"user": {"name": "demo"}, "system": {"model": "Hydra", "serial_number": "99"}}"""

OME_XML = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
<Instrument ID="Instrument:0"><Microscope Model="Merlin" SerialNumber="7"/><Objective NominalMagnification="63"/></Instrument>
<Image ID="Image:0"><AcquisitionDate>2020-01-02T03:04:05</AcquisitionDate>
<Pixels SizeX="32" SizeY="24" PhysicalSizeX="0.0125" PhysicalSizeY="12.6" PhysicalSizeYUnit="nm" Type="uint8">
<Plane TheC="0" PositionX="1500" PositionXUnit="\u00b5m" PositionY="4" PositionZ="2500" PositionZUnit="nm"/></Pixels></Image></OME>"""


def xl_header(changes: dict[str, str | None] | None = None) -> bytes:
    """Write the XL30's INI text."""
    texts = sections_text(XL_SECTIONS, changes).values()
    return ("\r\n" + "\r\n".join(texts).replace("=", " = ")).encode("cp1252") + b"\x00"


def sis_tiff(
    *,
    exponent: int = -9,
    pixel: float = 1.5376,
    times: float = 125000.0,
    magic: bytes = b"SIS0",
    month: int = 2,
    year: int = 116,
) -> bytes:
    """Write a TIFF whose tag 33560 points to analySIS's block behind the pixels."""
    at = len(tiff_bytes(replace={33560: (4, (0,))}))
    head = struct.pack("<4s6x5h6x32sH", magic, 1, 10, 24, month, year, b"AuNI scan 1\x00rest", 2)
    entries = struct.pack("<hhIhhI", 10, 1, 0, 1, 1, at + len(head) + 16)
    block = struct.pack("<10xhdd8xd2x34s32s", exponent, pixel, pixel * 0.99, times, b"", b"Gray Value")
    return tiff_bytes(replace={33560: (4, (at,))}) + head + entries + block


def imagej_tiff(description: bytes, x: tuple[int, int] | None = None, y: tuple[int, int] | None = None) -> bytes:
    """Write ImageJ's export with its resolution, pixels per unit, as ratios."""
    ratios = {tag: (5, struct.pack("<II", *ratio)) for tag, ratio in ((282, x), (283, y)) if ratio}
    data = tiff_bytes(tags={270: description}, replace=ratios)
    # The builder counts bytes; a ratio is one value of eight.
    for tag in ratios:
        data = data.replace(struct.pack("<HHI", tag, 5, 8), struct.pack("<HHI", tag, 5, 1))
    return data


def zeiss_header(changes: dict[str, str | None] | None = None) -> bytes:
    """Write the CZ_SEM text; a change of None leaves the pair out."""
    lines = {**ZEISS_LINES, **(changes or {})}
    text = ["0", "0", "4.395e-08", "2.5e+03"]
    for key, line in lines.items():
        if line is not None:
            text += [key, line]
    return "\r\n".join(text).encode("cp1252") + b"\r\n\x00\x00\x00"


def fei_header(changes: dict[str, str | None] | None = None) -> bytes:
    """Write the FEI INI text; changes by ``Section.Key``, None leaves the key out."""
    changes = dict(changes or {})
    text = []
    for section, keys in FEI_SECTIONS.items():
        text.append(f"[{section}]")
        for key, value in keys.items():
            changed = changes.pop(f"{section}.{key}", value)
            if changed is not None:
                text.append(f"{key}={changed}")
        added = [name for name in changes if name.startswith(f"{section}.")]
        text += [f"{name.partition('.')[2]}={changes.pop(name)}" for name in added]
        text.append("")
    assert not changes, f"unknown sections: {changes}"
    return "\r\n".join(text).encode("cp1252") + b"\x00"


def tiff_bytes(
    pixels: np.ndarray | None = None,
    tags: dict[int, bytes] | None = None,
    *,
    order: str = "<",
    rows_per_strip: int | None = None,
    replace: dict[int, tuple[int, tuple[int, ...]]] | None = None,
    next_ifd: int = 0,
) -> bytes:
    """
    Write a one-page uncompressed TIFF, tags first and pixels last.

    ``tags`` are ASCII blocks by number; ``replace`` overrides a whole-number tag as (field type, values).
    """
    pixels = np.arange(32 * 24, dtype=np.uint8).reshape(24, 32) | 1 if pixels is None else pixels
    height, width = pixels.shape[:2]
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    rows = rows_per_strip or height
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    row_bytes = len(data) // height
    strips = [data[at * row_bytes : min(at + rows, height) * row_bytes] for at in range(0, height, rows)]
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    fields: dict[int, tuple[int, tuple[int, ...] | bytes]] = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (pixels.dtype.itemsize * 8,) * samples),
        259: (3, (1,)),
        262: (3, (2 if samples >= 3 else 1,)),
        273: (4, (0,) * len(strips)),
        277: (3, (samples,)),
        278: (4, (rows,)),
        279: (4, tuple(len(strip) for strip in strips)),
        339: (3, (kind,) * samples),
    }
    fields |= {number: (2, block) for number, block in (tags or {}).items()}
    fields |= replace or {}

    def layout(offsets: tuple[int, ...] | None) -> bytes:
        if offsets is not None and 273 not in (replace or {}):
            fields[273] = (4, offsets)
        head = 8 + 2 + 12 * len(fields) + 4
        entries, extra = b"", b""
        for number, (field_type, values) in sorted(fields.items()):
            size = {1: "B", 3: "H", 4: "I"}.get(field_type, "")
            raw = values if isinstance(values, bytes) else struct.pack(f"{order}{len(values)}{size}", *values)
            entries += struct.pack(order + "HHI", number, field_type, len(values))
            if len(raw) <= 4:
                entries += raw.ljust(4, b"\x00")
            else:
                entries += struct.pack(order + "I", head + len(extra))
                extra += raw
        magic = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
        return magic + struct.pack(order + "H", len(fields)) + entries + struct.pack(order + "I", next_ifd) + extra

    start = len(layout(None))
    offsets, at = [], start
    for strip in strips:
        offsets.append(at)
        at += len(strip)
    return layout(tuple(offsets)) + b"".join(strips)


class Headers:
    """The builders above, as one fixture: tests are no package and import nothing from here."""

    zeiss = staticmethod(zeiss_header)
    fei = staticmethod(fei_header)
    tescan = staticmethod(tescan_tag)
    tescan_hdr = staticmethod(tescan_hdr)
    jeol_txt = staticmethod(jeol_txt)
    jeol_tiff = staticmethod(jeol_tiff)
    hitachi_txt = staticmethod(hitachi_txt)
    hitachi_tags = staticmethod(hitachi_tags)
    xl = staticmethod(xl_header)
    sis_tiff = staticmethod(sis_tiff)
    imagej_tiff = staticmethod(imagej_tiff)
    phenom_xml = PHENOM_XML
    sec_text = SEC_TEXT
    fibsem_state = FIBSEM_STATE
    ome_xml = OME_XML
    tiff = staticmethod(tiff_bytes)


@pytest.fixture(name="build")
def _build() -> type[Headers]:
    return Headers


@pytest.fixture(name="written")
def _written(tmp_path: Path) -> Callable[..., Path]:
    """Write bytes to a file in the test's own folder and return its path."""

    def write(data: bytes, name: str = "frame.tif") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write
