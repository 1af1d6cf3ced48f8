"""
Pictures that no scanning electron microscope takes: what a model must learn to be unsure of.

Noise, beam off, pages, charts, screens, photographs, optical micrographs, all drawn here and the same for the same seed.
Files like these do turn up in acquisition directories: exported plots, chamber camera pictures, scans of the logbook.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    Pixels: TypeAlias = npt.NDArray[np.uint8]
    _Rgb: TypeAlias = tuple[int, int, int]
    _Box: TypeAlias = tuple[int, int, int, int]

_WIDTH_PX: Final = 512
_HEIGHT_PX: Final = 384

_WORDS: Final = tuple(
    "sample holder detector vacuum beam current stub carbon coating session operator grid spot the of and at with "  # noqa: SIM905 - a text
    "exchanged after before pressure aperture filament hours kV mm report table figure mean sigma total".split()
)


@dataclass(frozen=True, slots=True)
class UnfamiliarPicture:
    """A picture yet to be drawn: made when asked for, the same each time."""

    kind: str
    seed: int

    def draw(self) -> Pixels:
        """Draw it: RGB (height, width, 3)."""
        random = np.random.default_rng((self.seed, *self.kind.encode()))
        return np.asarray(KINDS[self.kind](random), dtype=np.uint8)


def unfamiliar_pictures(count: int, seed: int, kinds: tuple[str, ...] = ()) -> list[UnfamiliarPicture]:
    """List so many pictures of a seed, all kinds (or those named) in turn."""
    names = kinds or tuple(KINDS)
    return [UnfamiliarPicture(names[number % len(names)], seed * 1_000_003 + number) for number in range(count)]


def _grey(values: npt.NDArray[np.floating]) -> Pixels:
    grey = np.clip(values, 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)


def _colour(random: np.random.Generator, low: int = 0, high: int = 256) -> _Rgb:
    red, green, blue = (int(random.integers(low, high)) for _ in range(3))
    return red, green, blue


def _grid() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    y, x = np.mgrid[0:_HEIGHT_PX, 0:_WIDTH_PX]
    return y / _HEIGHT_PX, x / _WIDTH_PX


def _noise(random: np.random.Generator) -> Pixels:
    size = (_HEIGHT_PX, _WIDTH_PX)
    form = int(random.integers(4))
    if form == 0:
        return _grey(random.uniform(0, 255, size))
    if form == 1:
        return _grey(random.normal(random.uniform(60, 190), random.uniform(15, 70), size))
    if form == 2:
        return _grey(np.where(random.random(size) < random.uniform(0.02, 0.5), 255.0, 0.0))
    coarse = int(random.integers(2, 9))
    small = random.uniform(0, 255, (_HEIGHT_PX // coarse, _WIDTH_PX // coarse)).astype(np.uint8)
    return _grey(np.asarray(Image.fromarray(small).resize((_WIDTH_PX, _HEIGHT_PX), Image.Resampling.NEAREST), float))


def _gradient(random: np.random.Generator) -> Pixels:
    y, x = _grid()
    if random.random() < 0.5:
        angle = random.uniform(0, 2 * np.pi)
        ramp = np.cos(angle) * x + np.sin(angle) * y
    else:
        ramp = np.hypot(x - random.uniform(0, 1), y - random.uniform(0, 1))
    low, high = np.sort(random.uniform(0, 255, 2))
    ramp = (ramp - ramp.min()) / (ramp.max() - ramp.min())
    return _grey(low + (high - low) * ramp + random.normal(0, random.uniform(0, 2), ramp.shape))


def _beam_off(random: np.random.Generator) -> Pixels:
    """Nothing but the detector's own noise, lines of it, sometimes after half a frame's height was scanned in fog."""
    size = (_HEIGHT_PX, _WIDTH_PX)
    values = random.uniform(0, 40) + random.normal(0, random.uniform(0.5, 9), size)
    values += random.normal(0, random.uniform(0, 4), (_HEIGHT_PX, 1))
    if random.random() < 0.3:
        values[: int(random.integers(20, _HEIGHT_PX))] += random.uniform(30, 160)
    return _grey(values)


def _one_tone(random: np.random.Generator) -> Pixels:
    tone = float(random.choice(np.array([0, 0, 255, random.integers(256)])))
    return _grey(np.full((_HEIGHT_PX, _WIDTH_PX), tone) + random.normal(0, 0.4, (_HEIGHT_PX, _WIDTH_PX)))


def _page(random: np.random.Generator) -> Pixels:
    dark = random.random() < 0.2
    paper, ink = ((30, 34, 40), (220, 220, 210)) if dark else ((250, 249, 244), (20, 20, 24))
    image = Image.new("RGB", (_WIDTH_PX, _HEIGHT_PX), paper)
    pen = ImageDraw.Draw(image)
    letter_px = int(random.integers(9, 26))
    margin, y = int(random.integers(8, 60)), int(random.integers(4, 50))
    while y < _HEIGHT_PX - letter_px:
        if random.random() < 0.86:
            count = int(random.integers(2, 4 * _WIDTH_PX // (letter_px * 5)))
            pen.text((margin, y), " ".join(random.choice(_WORDS, count)), fill=ink, font_size=letter_px)
        y += round(letter_px * random.uniform(1.25, 1.5))
    return np.asarray(image.rotate(random.normal(0, 1.5), fillcolor=paper))


def _chart(random: np.random.Generator) -> Pixels:
    paper: _Rgb = (255, 255, 255) if random.random() < 0.8 else (28, 30, 36)
    ink: _Rgb = (0, 0, 0) if paper[0] > 100 else (230, 230, 230)
    image = Image.new("RGB", (_WIDTH_PX, _HEIGHT_PX), paper)
    pen = ImageDraw.Draw(image)
    left, top, right, bottom = 60, 30, _WIDTH_PX - 24, _HEIGHT_PX - 46
    form = int(random.integers(5))
    _CHART_FORMS[form](pen, random, (left, top, right, bottom))
    if form != 4:
        pen.line([(left, top), (left, bottom), (right, bottom)], fill=ink, width=2)
        for step in range(6):
            y, x = top + (bottom - top) * step // 5, left + (right - left) * step // 5
            pen.text((left - 40, y - 6), f"{random.uniform(0, 99):.1f}", fill=ink, font_size=12)
            pen.text((x - 8, bottom + 6), str(step * 20), fill=ink, font_size=12)
    pen.text((left + 60, 6), " ".join(random.choice(_WORDS, 3)), fill=ink, font_size=16)
    return np.asarray(image)


def _curves(pen: ImageDraw.ImageDraw, random: np.random.Generator, box: _Box) -> None:
    left, top, right, bottom = box
    for _ in range(int(random.integers(1, 5))):
        steps = np.cumsum(random.normal(0, 1, 120))
        heights = (steps - steps.min()) / max(float(np.ptp(steps)), 1e-9)
        points = [(left + (right - left) * i / 119, bottom - (bottom - top) * h) for i, h in enumerate(heights)]
        pen.line(points, fill=_colour(random, 0, 200), width=int(random.integers(1, 4)))


def _bars(pen: ImageDraw.ImageDraw, random: np.random.Generator, box: _Box) -> None:
    left, top, right, bottom = box
    count, fill = int(random.integers(4, 30)), _colour(random, 20, 200)
    for number in range(count):
        x = left + (right - left) * number / count
        height = (bottom - top) * random.random()
        pen.rectangle((x + 2, bottom - height, x + (right - left) / count - 2, bottom), fill=fill)


def _points(pen: ImageDraw.ImageDraw, random: np.random.Generator, box: _Box) -> None:
    left, top, right, bottom = box
    for _ in range(int(random.integers(1, 4))):
        fill, radius = _colour(random, 0, 220), int(random.integers(2, 6))
        for x, y in random.normal(random.uniform(0.3, 0.7, 2), 0.14, (int(random.integers(20, 160)), 2)).clip(0, 1):
            at = (left + (right - left) * x, bottom - (bottom - top) * y)
            pen.ellipse((at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), fill=fill)


def _spectrum(pen: ImageDraw.ImageDraw, random: np.random.Generator, box: _Box) -> None:
    """Draw an X-ray spectrum: lines on a falling background, filled."""
    left, top, right, bottom = box
    energy = np.linspace(0, 1, right - left)
    counts = 0.15 * np.exp(-2 * energy) + random.normal(0, 0.008, energy.shape)
    for _ in range(int(random.integers(3, 9))):
        counts += random.uniform(0.05, 1) * np.exp(-(((energy - random.random()) / 0.009) ** 2))
    counts = np.clip(counts / counts.max(), 0, 1)
    fill = _colour(random, 0, 220)
    for x, height in enumerate(counts):
        pen.line([(left + x, bottom), (left + x, bottom - (bottom - top) * height)], fill=fill)


def _pie(pen: ImageDraw.ImageDraw, random: np.random.Generator, box: _Box) -> None:
    left, top, _, bottom = box
    turn = 0.0
    for share in random.dirichlet(np.full(int(random.integers(3, 8)), 2.0)):
        pen.pieslice((left + 60, top, left + 60 + bottom - top, bottom), turn, turn + 360 * share, fill=_colour(random))
        turn += 360 * share


_CHART_FORMS: Final = (_curves, _bars, _points, _spectrum, _pie)


def _screen(random: np.random.Generator) -> Pixels:
    """Draw a program's window: panels, buttons, a menu, small text."""
    back = _colour(random, 180, 250) if random.random() < 0.7 else _colour(random, 20, 70)
    image = Image.new("RGB", (_WIDTH_PX, _HEIGHT_PX), back)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, _WIDTH_PX, 22), fill=_colour(random, 30, 140))
    for _ in range(int(random.integers(4, 11))):
        x, y = int(random.integers(0, _WIDTH_PX - 80)), int(random.integers(26, _HEIGHT_PX - 40))
        wide, tall = int(random.integers(60, 220)), int(random.integers(30, 150))
        pen.rectangle((x, y, x + wide, y + tall), fill=_colour(random, 120, 255), outline=(90, 90, 90))
        for line in range(tall // 18):
            pen.text(
                (x + 4, y + 3 + 18 * line),
                " ".join(random.choice(_WORDS, max(1, wide // 70))),
                fill=(10, 10, 30),
                font_size=11,
            )
    return np.asarray(image)


def _landscape(random: np.random.Generator) -> Pixels:
    """Sky, hills one behind the other, often a house and trees, softened as by a lens."""
    y, x = _grid()
    sky, low_sky = np.array(_colour(random, 90, 230)), np.array(_colour(random, 150, 255))
    picture = sky + (low_sky - sky) * y[:, :, np.newaxis]
    horizon = random.uniform(0.3, 0.6)
    for depth in range(int(random.integers(2, 5))):
        outline = horizon + 0.11 * depth
        for wave in range(1, 6):
            outline = outline + random.uniform(0, 0.08) / wave * np.sin(2 * np.pi * (wave * x[0] + random.random()))
        ground = np.array(_colour(random, 20, 190)) * (0.6 + 0.4 * random.random((_HEIGHT_PX, _WIDTH_PX, 1)))
        picture = np.where((y > outline)[:, :, np.newaxis], ground, picture)
    image = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for _ in range(int(random.integers(0, 5))):
        _house(pen, random)
    for _ in range(int(random.integers(0, 8))):
        _tree(pen, random)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(random.uniform(0.6, 1.6))))


def _house(pen: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    x, y = int(random.integers(0, _WIDTH_PX - 100)), int(random.integers(170, 290))
    wide, tall = int(random.integers(50, 130)), int(random.integers(40, 90))
    pen.rectangle((x, y, x + wide, y + tall), fill=_colour(random, 90, 240))
    pen.polygon([(x - 6, y), (x + wide // 2, y - tall // 2), (x + wide + 6, y)], fill=_colour(random, 40, 160))
    for column in range(wide // 26):
        pen.rectangle((x + 8 + 26 * column, y + 12, x + 20 + 26 * column, y + 28), fill=_colour(random, 20, 90))


def _tree(pen: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    x, y, size = int(random.integers(_WIDTH_PX)), int(random.integers(200, 340)), int(random.integers(16, 60))
    pen.rectangle((x - size // 10, y, x + size // 10, y + size), fill=(80, 60, 40))
    for _ in range(40):
        dx, dy = random.normal(0, size / 2.6, 2)
        radius = size / 5
        green = (int(random.integers(20, 90)), int(random.integers(80, 170)), int(random.integers(20, 80)))
        pen.ellipse((x + dx - radius, y + dy - size / 2 - radius, x + dx + radius, y + dy - size / 2 + radius), green)


def _portrait(random: np.random.Generator) -> Pixels:
    """Somebody before a blurred room: a face, hair, shoulders."""
    back = Image.fromarray(random.integers(0, 255, (5, 7, 3), dtype=np.uint8))
    image = back.resize((_WIDTH_PX, _HEIGHT_PX), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    x, y, size = random.uniform(180, 330), random.uniform(130, 190), random.uniform(50, 110)
    light = random.uniform(0.4, 1)
    skin = (int(235 * light), int(190 * light), int(160 * light))
    pen.ellipse((x - 2 * size, y + 1.1 * size, x + 2 * size, y + 5 * size), fill=_colour(random, 10, 220))
    pen.ellipse((x - 0.95 * size, y - 1.35 * size, x + 0.95 * size, y + 0.9 * size), fill=_colour(random, 5, 110))
    pen.ellipse((x - 0.75 * size, y - size, x + 0.75 * size, y + size), fill=skin)
    for side in (-1, 1):
        eye = (x + side * 0.3 * size, y - 0.15 * size)
        pen.ellipse((eye[0] - 9, eye[1] - 5, eye[0] + 9, eye[1] + 5), fill=(245, 245, 245))
        pen.ellipse((eye[0] - 4, eye[1] - 4, eye[0] + 4, eye[1] + 4), fill=(40, 30, 20))
    pen.line([(x, y - 5), (x - 6, y + 0.3 * size), (x + 5, y + 0.33 * size)], fill=(120, 80, 60), width=2)
    pen.arc((x - 0.3 * size, y + 0.2 * size, x + 0.3 * size, y + 0.65 * size), 20, 160, fill=(150, 50, 50), width=5)
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(random.uniform(1, 2.2))), float)
    return (soft + random.normal(0, 4, soft.shape)).clip(0, 255).astype(np.uint8)


def _table_top(random: np.random.Generator) -> Pixels:
    """Things on a table: shaded balls, boxes, mugs, their shadows."""
    y, _ = _grid()
    wall, wood = np.array(_colour(random, 120, 240)), np.array(_colour(random, 60, 200))
    grain = random.normal(0, 6, (_HEIGHT_PX, 1, 1))
    edge = random.uniform(0.3, 0.55)
    flat = np.where((y < edge)[:, :, np.newaxis], wall * (0.7 + 0.3 * y[:, :, np.newaxis]), wood + grain)
    picture = flat.clip(0, 255)
    for _ in range(int(random.integers(2, 8))):
        _ball(picture, random)
    image = Image.fromarray(picture.astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for _ in range(int(random.integers(1, 4))):
        left, top = int(random.integers(0, 420)), int(random.integers(110, 280))
        wide, tall = int(random.integers(30, 90)), int(random.integers(40, 100))
        pen.rectangle((left, top, left + wide, top + tall), fill=_colour(random, 30, 250))
        pen.ellipse((left, top - 10, left + wide, top + 10), fill=_colour(random, 30, 250))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(1)))


def _ball(picture: npt.NDArray[np.float64], random: np.random.Generator) -> None:
    """Put a ball lit from the upper left into (height, width, 3), in place."""
    y, x = np.mgrid[0:_HEIGHT_PX, 0:_WIDTH_PX]
    radius = random.uniform(20, 75)
    down, right = (y - random.uniform(150, 330)) / radius, (x - random.uniform(30, 480)) / radius
    inside = down**2 + right**2 < 1
    depth = np.sqrt(np.clip(1 - down**2 - right**2, 0, 1))
    light = np.clip(-0.5 * right - 0.5 * down + 0.7 * depth, 0.08, 1)
    shaded = np.array(_colour(random, 60, 256)) * light[:, :, np.newaxis] + 160 * (light**24)[:, :, np.newaxis]
    shadow = ((down - 0.85) * 4) ** 2 + (right - 0.3) ** 2 < 1
    picture[shadow] *= 0.6
    picture[inside] = shaded[inside].clip(0, 255)


def _stained_cells(random: np.random.Generator) -> Pixels:
    """Draw an optical micrograph in transmitted light: stained cells with nuclei on a bright field."""
    field = np.array(_colour(random, 205, 250))
    image = Image.new("RGB", (_WIDTH_PX, _HEIGHT_PX), tuple(int(part) for part in field))
    pen = ImageDraw.Draw(image, "RGBA")
    body, nucleus = _colour(random, 110, 230), _colour(random, 40, 130)
    size = random.uniform(8, 34)
    for _ in range(int(random.uniform(0.3, 1.1) * _WIDTH_PX * _HEIGHT_PX / (4 * size * size))):
        x, y = random.uniform(0, _WIDTH_PX), random.uniform(0, _HEIGHT_PX)
        wide, tall = size * random.uniform(0.7, 1.3, 2)
        pen.ellipse((x - wide, y - tall, x + wide, y + tall), fill=(*body, 150))
        pen.ellipse((x - wide / 3, y - tall / 3, x + wide / 3, y + tall / 3), fill=(*nucleus, 210))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(random.uniform(1, 2.5))))


def _fluorescence(random: np.random.Generator) -> Pixels:
    """Glowing cells out of the dark, in one or two colours, blurred by what is out of focus."""
    light = np.zeros((_HEIGHT_PX, _WIDTH_PX, 3))
    for channel in random.choice(3, int(random.integers(1, 3)), replace=False):
        spots = Image.new("L", (_WIDTH_PX, _HEIGHT_PX), 0)
        pen = ImageDraw.Draw(spots)
        size = random.uniform(6, 30)
        for _ in range(int(random.integers(6, 60))):
            x, y = random.uniform(0, _WIDTH_PX), random.uniform(0, _HEIGHT_PX)
            wide, tall = size * random.uniform(0.5, 1.5, 2)
            pen.ellipse((x - wide, y - tall, x + wide, y + tall), fill=int(random.integers(60, 255)))
        sharp, haze = (spots.filter(ImageFilter.GaussianBlur(radius)) for radius in (2, 24))
        light[:, :, channel] = 0.8 * np.asarray(sharp, float) + 0.6 * np.asarray(haze, float)
    return (light + random.normal(6, 3, light.shape)).clip(0, 255).astype(np.uint8)


def _chamber(random: np.random.Generator) -> Pixels:
    """Draw what the chamber camera sees: a dim infrared look at pole piece, stage and stubs."""
    image = Image.new("L", (_WIDTH_PX, _HEIGHT_PX), int(random.integers(10, 50)))
    pen = ImageDraw.Draw(image)
    x = random.uniform(180, 340)
    pen.polygon([(x - 130, 0), (x + 130, 0), (x + 40, 150), (x - 40, 150)], fill=int(random.integers(90, 190)))
    pen.rectangle((40, 270, 470, 384), fill=int(random.integers(50, 120)))
    for _ in range(int(random.integers(1, 6))):
        left, top = random.uniform(60, 400), random.uniform(215, 265)
        pen.rectangle((left, top, left + 50, top + 60), fill=int(random.integers(110, 220)))
        pen.ellipse((left, top - 9, left + 50, top + 9), fill=int(random.integers(140, 250)))
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(random.uniform(2, 4))), float)
    return _grey(soft + random.normal(0, random.uniform(2, 8), soft.shape))


KINDS: Final[Mapping[str, Callable[[np.random.Generator], Pixels]]] = MappingProxyType(
    {
        "noise": _noise,
        "gradient": _gradient,
        "beam off": _beam_off,
        "one tone": _one_tone,
        "page": _page,
        "chart": _chart,
        "screen": _screen,
        "landscape": _landscape,
        "portrait": _portrait,
        "table top": _table_top,
        "stained cells": _stained_cells,
        "fluorescence": _fluorescence,
        "chamber camera": _chamber,
    }
)
