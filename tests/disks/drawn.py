"""What the tests of a disk's figure share: recorded disks, and what is seen in a picture."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import NamedTuple

from labkit.disks import Disk
from labkit.disks.strip import StripFigure

SVG = "{http://www.w3.org/2000/svg}"
MIB = 1 << 20
Rows = Sequence[Sequence[object]]


def disk(
    capacity: int,
    extents: Rows,
    regions: Rows,
    block: int = MIB,
    parent: str = "",
    variant: str = "dynamic",
    kind: str = "blocks",
) -> Disk:
    """A disk as a recording holds it."""
    stored = sum(int(str(size)) for _, size, what, _ in extents if what in ("data", "compressed"))
    names = ("offset", "size", "kind", "label")
    return Disk.from_json(
        {
            "name": "a.vdi",
            "format": "VDI",
            "variant": variant,
            "kind": kind,
            "capacity": capacity,
            "allocated": stored,
            "file_size": sum(int(str(size)) for _, size, _, _ in regions),
            "block_size": block,
            "uuid": "",
            "parent": parent,
            "notes": [],
            "fields": [],
            "map": [list(row) for row in extents],
            "regions": [dict(zip(names, row, strict=True)) for row in regions],
        }
    )


def vdi(*written: int, count: int = 64, block: int = MIB, parent: str = "") -> Disk:
    """A dynamic VDI to which these blocks were written, in this order."""
    places = {number: 2 * MIB + n * block for n, number in enumerate(written)}
    extents = [
        (n * block, block, "data" if n in places else "parent", places.get(n)) for n in range(count)
    ]
    regions = [
        (0, 512, "header", "header"),
        (512, MIB - 512, "free", "not used"),
        (MIB, 4 * count, "map", "map of blocks"),
        (MIB + 4 * count, MIB - 4 * count, "free", "not used"),
    ]
    if written:
        regions.append((2 * MIB, len(written) * block, "data", "guest data"))
    return disk(count * block, extents, regions, block, parent)


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg.encode("utf-8"))


class Drawn(NamedTuple):
    """A cell in the picture; px."""

    tip: str
    x: float
    y: float
    wide: float


def boxes(svg: str) -> list[Drawn]:
    """The cells; the legend's swatches, which are 14 px high, left out."""
    drawn = []
    for box in parse(svg).iter(SVG + "rect"):
        if box.get("height") == "32":
            x, y, wide = (float(box.get(name, "")) for name in ("x", "y", "width"))
            drawn.append(Drawn(box[0].text or "", x, y, wide))
    return drawn


class Curve(NamedTuple):
    """A line from strip to strip: where it begins and ends from left to right, in px."""

    x: float
    to_x: float
    new: bool


def lines(svg: str) -> list[Curve]:
    drawn = []
    for path in parse(svg).iter(SVG + "path"):
        classes = path.get("class", "").split()
        if classes[:1] == ["line"]:
            ends = re.fullmatch(r"M(\S+) .* (\S+) \S+", path.get("d", ""))
            assert ends
            drawn.append(Curve(float(ends[1]), float(ends[2]), "new" in classes))
    return drawn


def check_picture(figure: StripFigure) -> None:
    """Cells and lines of the picture are those of the data."""
    svg = figure.svg()
    strips = figure.strips
    drawn = boxes(svg)
    for box, cell in zip(drawn, strips.guest + strips.file, strict=True):
        assert abs(box.x - 88 - cell.x) < 0.06 and abs(box.wide + 1 - cell.wide) < 0.06
    guest = drawn[: len(strips.guest)]
    file = drawn[len(strips.guest) :]
    assert len({box.y for box in guest}) <= 1 and len({box.y for box in file}) <= 1
    for curve, (a, b, _, new) in zip(lines(svg), strips.lines, strict=True):
        assert abs(curve.x - guest[a].x - guest[a].wide / 2) < 0.1
        assert abs(curve.to_x - file[b].x - file[b].wide / 2) < 0.1
        assert curve.new == new
