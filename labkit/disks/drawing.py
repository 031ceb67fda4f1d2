"""The picture of a disk's strips: where each of its parts goes, for `strip.svg` to paint.

Places and sizes are in px.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from textwrap import wrap
from typing import NamedTuple

from markupsafe import Markup

from labkit.disks.cells import (
    LONGEST_FILE,
    MOST_LABELS,
    MOST_LINES,
    NARROWEST,
    STORED,
    STRIP_LOOKS,
    DiskStrips,
    StripCell,
    StripLine,
)
from labkit.disks.values import human, spans
from labkit.messages import _
from labkit.show.look import BLUE, GREEN, GREY, MARKS, PAD, ink
from labkit.show.markup import render

_LEFT = PAD + 72  # where the strips begin
_HIGH = 32  # a strip
_DROP = 72  # between the strips
_LINE = 20  # a line of text
_WIDE = _LEFT + LONGEST_FILE + MOST_LABELS * NARROWEST + PAD
_LETTER = 6.8  # of a word in the legend, about
_TWO_DIGITS = 18
_SIGNS_DRAWN = "0^?"  # of kinds that have no colour


class StripLabel(NamedTuple):
    """A text below a cell of the file, to its right or to its left."""

    cell: int
    text: str
    right: bool


class _Fill(NamedTuple):
    """A kind's share of a box: a line as thick as the box is wide, from ``top`` down."""

    colour: str
    dash: str  # of the stripes across it; "" for none
    top: float
    tall: float


class _Box(NamedTuple):
    """A cell, filled from below as far as its parts go, with its sign."""

    cell: StripCell
    x: float
    y: float
    wide: float
    high: float
    tip: str

    @property
    def middle(self) -> float:
        return round(self.x + self.wide / 2, 2)

    @property
    def sign(self) -> str:
        if self.cell.mark:
            return MARKS[self.cell.mark].sign
        return self.cell.sign if self.cell.sign in _SIGNS_DRAWN else ""

    def fills(self) -> Iterator[_Fill]:
        bottom = self.y + self.high
        for kind, look in STRIP_LOOKS.items():
            size = self.cell.parts[kind]
            if look.colour and size:
                share = round(self.high * size / self.cell.size, 1)
                tall = min(max(2, share), bottom - self.y)  # 2 px: to be seen
                bottom -= tall
                yield _Fill(look.colour, look.dash, bottom, tall)


class _Curve(NamedTuple):
    """A line between the strips, from a cell of the guest to one of the file."""

    new: bool
    thick: float
    x: float
    to_x: float


class _Lead(NamedTuple):
    """What leads from a cell of the file down to its label, and aside."""

    x: float
    y: float
    aside: int


class _Words(NamedTuple):
    """A text and its class."""

    x: float
    y: float
    look: str
    text: str


class StripPicture:
    """The picture of a disk's strips. ``unit``: what the format calls its blocks."""

    def __init__(self, strips: DiskStrips, unit: str) -> None:
        self.strips = strips
        self.unit = unit
        self.words: list[_Words] = []
        self.top = 0  # of the guest
        self.low = 0  # of the file

    def svg(self, title: str, summary: str, legend: list[str], labels: list[StripLabel]) -> Markup:
        """One self-contained <svg>."""
        disk = self.strips.disk
        self._write_head(title, summary)
        height = self.low + _HIGH + _LINE * len(labels) + 52
        swatches = self._legend(legend)
        self._write_name(_("guest"), disk.capacity, self.top)
        boxes = [self._guest_box(cell) for cell in self.strips.guest]
        self._write_numbers()
        self._write_name(_("file"), disk.file_size, self.low)
        boxes += [self._box(cell, self.low, _from_byte(cell)) for cell in self.strips.file]
        leads = [self._lead(row, label) for row, label in enumerate(labels)]
        self._write(PAD, height - PAD, "note", self._note())
        in_file = "; ".join(label.text for label in reversed(labels))
        return render(
            "disks/strip.svg",
            title=title or _("Disk"),
            about=_("{summary} In the file: {parts}.", summary=summary, parts=in_file),
            wide=_WIDE,
            high=height,
            top=self.top + _HIGH,
            bend=self.top + _HIGH + _DROP // 2,
            low=self.low,
            bottom=self.low + _HIGH,
            swatches=swatches,
            curves=[self._curve(line) for line in self.strips.lines],
            boxes=boxes,
            leads=leads,
            words=self.words,
            ink_fill=ink("fill"),
            ink_stroke=ink("stroke"),
            colours={"new": GREEN, "data": BLUE, "lead": GREY},
        )

    # -- words

    def _write(self, x: float, y: float, look: str, text: str) -> None:
        self.words.append(_Words(x, y, look, text))

    def _write_head(self, title: str, summary: str) -> None:
        y = PAD + 14
        if title:
            self._write(PAD, y, "title", title)
            y += _LINE
        for line in wrap(summary, 90):
            self._write(PAD, y, "", line)
            y += _LINE
        self.top = y + 42
        self.low = self.top + _HIGH + _DROP

    def _write_name(self, name: str, size: int, y: float) -> None:
        """What a strip is, to its left."""
        self._write(PAD, y + 13, "name", name)
        self._write(PAD, y + 30, "note", human(size))

    def _write_numbers(self) -> None:
        """The numbers of blocks above the guest's cells of one block each."""
        free = 0.0  # from here on a number covers no other
        for cell in self.strips.guest:
            first, last = self._blocks(cell)
            x = round(_LEFT + cell.x, 1)
            if self.strips.disk.block_size and first == last and cell.kind in STORED and x >= free:
                self._write(x + round(cell.wide - 1, 1) / 2, self.top - 7, "number", str(first))
                free = x + _TWO_DIGITS

    def _note(self) -> str:
        scale = _(
            "1 px is {size}; what is too small is {least} px wide.",
            size=human(self.strips.scale),
            least=NARROWEST,
        )
        if self.strips.line_count <= MOST_LINES:
            return scale
        return _(
            "{scale} Of {n} lines the {most} for most bytes are drawn.",
            scale=scale,
            n=self.strips.line_count,
            most=MOST_LINES,
        )

    # -- boxes and lines

    def _legend(self, legend: list[str]) -> list[_Box]:
        swatches = []
        x: float = PAD
        for word in legend:
            kind = word if word in STRIP_LOOKS else "data"
            mark = word if word in MARKS else ""
            cell = StripCell(0, 1, kind, Counter({kind: 1}), mark=mark)
            shown = _(word)
            swatches.append(_Box(cell, x, self.top - 50, 12, 14, shown))
            self._write(x + 20, self.top - 38.5, "", shown)
            x = round(x + _LETTER * len(shown) + 44, 1)
        return swatches

    def _blocks(self, cell: StripCell) -> tuple[int, int]:
        """The first and the last block of the guest that a cell stands for."""
        block = max(self.strips.disk.block_size, 1)
        return cell.start // block, (cell.start + cell.size - 1) // block

    def _guest_box(self, cell: StripCell) -> _Box:
        if not self.strips.disk.block_size:
            return self._box(cell, self.top, _from_byte(cell))
        return self._box(cell, self.top, f"{self.unit} {spans([self._blocks(cell)], 99)}")

    def _box(self, cell: StripCell, y: float, where: str) -> _Box:
        parts = ", ".join(f"{human(size)} {_(kind)}" for kind, size in (+cell.parts).items())
        x = round(_LEFT + cell.x, 1)
        return _Box(cell, x, y, round(cell.wide - 1, 1), _HIGH, f"{where}: {parts}")

    def _curve(self, line: StripLine) -> _Curve:
        thick = min(max(1.2, line.size / self.strips.scale - 1), 4)
        x = _middle(self.strips.guest[line.guest])
        to_x = _middle(self.strips.file[line.file])
        return _Curve(line.new, thick, round(x, 2), round(to_x, 2))

    def _lead(self, row: int, label: StripLabel) -> _Lead:
        x = round(_middle(self.strips.file[label.cell]), 1)
        y = self.low + _HIGH + 16 + _LINE * row
        side = 1 if label.right else -1
        self._write(x + 10 * side, y + 4.5, "" if label.right else "end", label.text)
        return _Lead(x, y, 6 * side)


def _middle(cell: StripCell) -> float:
    return _LEFT + cell.x + (cell.wide - 1) / 2


def _from_byte(cell: StripCell) -> str:
    return _("from byte {start}", start=cell.start)
