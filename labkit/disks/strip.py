"""The figure of a virtual disk: the guest's bytes, those of its file, and where each block lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import NamedTuple

from markupsafe import Markup

from labkit.disks.cells import (
    LONGEST_FILE,
    MOST_CELLS,
    MOST_LABELS,
    MOST_LINES,
    NARROWEST,
    STORED,
    STRIP_LOOKS,
    DiskStrips,
    StripCell,
)
from labkit.disks.disk import Disk
from labkit.disks.values import human, spans
from labkit.messages import _
from labkit.show.look import BLUE, GREEN, GREY, MARKS, PAD, ink
from labkit.show.markup import Figure, render
from labkit.show.text import clean, shorten

_LOOKS = STRIP_LOOKS | MARKS
# px
_LEFT = PAD + 72  # where the strips begin
_HIGH = 32  # a strip
_DROP = 72  # between the strips
_LINE = 20  # a line of text
_WIDE = _LEFT + LONGEST_FILE + MOST_LABELS * NARROWEST + PAD
_LETTER = 6.8  # of a word in the legend, about
_TWO_DIGITS = 18
_SIGNS_DRAWN = "0^?"  # of kinds that have no colour
Words = list[tuple[float, float, str, str]]  # texts in the picture: x, y, class, text


class _Box(NamedTuple):
    """A cell as it is drawn, in px, with its tooltip."""

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

    def fills(self) -> Iterator[tuple[str, str, float, float]]:
        """The shares of its kinds from below: colour, dash of the stripes, top and height."""
        bottom = self.y + self.high
        for kind, look in STRIP_LOOKS.items():
            size = self.cell.parts[kind]
            if look.colour and size:
                share = round(self.high * size / self.cell.size, 1)
                tall = min(max(2, share), bottom - self.y)  # 2 px: to be seen
                bottom -= tall
                yield look.colour, look.dash, bottom, tall


class StripFigure(Figure):
    """The figure of a disk. Since ``before``, an earlier look at it, new blocks are marked.

    ``scale``: bytes a px, more where they would not fit; give that of another figure to compare.
    LabError as the disk's.
    """

    def __init__(
        self, disk: Disk, before: Disk | None = None, title: str = "", scale: int = 1
    ) -> None:
        self.disk = disk
        self.title = clean(title)
        self.unit = shorten(clean(_(disk.kind)), 9)
        self.strips = DiskStrips(disk, before, scale)
        self.scale = self.strips.scale
        self.summary = _summary(disk, before or disk)
        used: set[str] = set()
        for cell in self.strips.guest + self.strips.file:
            used.add(cell.mark)
            used.update(+cell.parts)  # + leaves out what there is none of
        self.legend = [word for word in _LOOKS if word and word in used]
        # texts below cells of the file, to their right or left; the last one first, so that no
        # lead crosses a text
        self.labels: list[tuple[int, str, bool]] = []
        for number, cell in reversed(list(enumerate(self.strips.file))):
            if cell.label:
                text = self._label(cell, max(MOST_CELLS - number, number) - 1)
                self.labels.append((number, text, len(text) < MOST_CELLS - number))

    def _label(self, cell: StripCell, limit: int) -> str:
        """The text of a label, in at most so many characters."""
        text = f"{shorten(_(cell.label), 20)} {human(self.strips.sizes[cell.label])}"
        if cell.kind == "data" and self.disk.block_size:
            blocks = [self._blocks(run.start, run.length) for run in self.strips.stored]
            room = limit - len(text) - len(self.unit) - 3
            text = f"{text}: {self.unit} {spans(blocks, room)}"
        return shorten(text, limit)

    def __str__(self) -> str:
        lines = [self.title] if self.title else []
        lines += [*wrap(self.summary, 80), ""]
        for name, cells in ((_("guest"), self.strips.guest), (_("file"), self.strips.file)):
            marks = "".join(MARKS[cell.mark].sign for cell in cells).rstrip()
            if marks:
                lines.append(f"{'':7}{marks}")
            lines.append(f"{name:7}{''.join(cell.sign for cell in cells)}")
        leads = {number for number, _text, _right in self.labels}
        for number, text, right in self.labels:
            leads.remove(number)
            row = "".join("│" if x in leads else " " for x in range(number))
            left = row[: number - len(text) - 1]
            lines.append(f"{'':7}" + (f"{row}└ {text}" if right else f"{left}{text} ┘"))
        legend = "   ".join(f"{_LOOKS[word].sign} {_(word)}" for word in self.legend)
        scale = _("A sign of the guest is {size}.", size=human(self.strips.step))
        return "\n".join([*lines, "", *wrap(legend, 80), scale])

    def html(self) -> Markup:
        """The picture; one too wide scrolls."""
        return Markup('<div style="overflow:auto" tabindex="0">{}</div>').format(self.svg())

    def svg(self) -> Markup:
        """One self-contained <svg>: for light and dark pages, grey printers, screen readers."""
        head = [("title", self.title)] if self.title else []
        head += [("", line) for line in wrap(self.summary, 90)]
        words: Words = [(PAD, PAD + 14 + _LINE * n, *line) for n, line in enumerate(head)]
        top = PAD + 56 + _LINE * len(head)  # of the guest
        low = top + _HIGH + _DROP  # of the file
        height = low + _HIGH + _LINE * len(self.labels) + 52
        swatches = self._swatches(top - 50)
        words += [(box.x + 20, box.y + 11.5, "", box.tip) for box in swatches]
        guest = [self._box(cell, top, self.disk.block_size > 0) for cell in self.strips.guest]
        file = [self._box(cell, low, by_blocks=False) for cell in self.strips.file]
        words += _name(_("guest"), self.disk.capacity, top)
        words += self._numbers(guest, top - 7)
        words += _name(_("file"), self.disk.file_size, low)
        leads = []  # from a cell down to its label: x, y, and how far aside
        for row, (number, text, right) in enumerate(self.labels):
            x = round(file[number].middle, 1)
            y = low + _HIGH + 16 + _LINE * row
            side = 1 if right else -1
            leads.append((x, y, 6 * side))
            words.append((x + 10 * side, y + 4.5, "" if right else "end", text))
        words.append((PAD, height - PAD, "note", self._note()))
        in_file = "; ".join(text for _number, text, _right in reversed(self.labels))
        return render(
            "disks/strip.svg",
            title=self.title or _("Disk"),
            about=_("{summary} In the file: {parts}.", summary=self.summary, parts=in_file),
            wide=_WIDE,
            high=height,
            top=top + _HIGH,
            low=low,
            bottom=low + _HIGH,
            swatches=swatches,
            curves=[
                (
                    new,
                    min(max(1.2, size / self.scale - 1), 4),
                    guest[one].middle,
                    file[other].middle,
                )
                for one, other, size, new in self.strips.lines
            ],
            boxes=guest + file,
            leads=leads,
            words=words,
            ink=ink,
            colours={"new": GREEN, "data": BLUE, "lead": GREY},
        )

    def _swatches(self, y: float) -> list[_Box]:
        """The legend's, each with its word as tooltip."""
        swatches = []
        x: float = PAD
        for word in self.legend:
            kind = word if word in STRIP_LOOKS else "data"
            mark = word if word in MARKS else ""
            cell = StripCell(0, 1, kind, Counter({kind: 1}), mark=mark)
            swatches.append(_Box(cell, x, y, 12, 14, _(word)))
            x = round(x + _LETTER * len(_(word)) + 44, 1)
        return swatches

    def _blocks(self, start: int, size: int) -> tuple[int, int]:
        """The first and the last block of so many of the guest's bytes."""
        block = max(self.disk.block_size, 1)
        return start // block, (start + size - 1) // block

    def _box(self, cell: StripCell, y: float, by_blocks: bool) -> _Box:
        where = _("from byte {start}", start=cell.start)
        if by_blocks:
            where = f"{self.unit} {spans([self._blocks(cell.start, cell.size)], 99)}"
        parts = ", ".join(f"{human(size)} {_(kind)}" for kind, size in (+cell.parts).items())
        x = round(_LEFT + cell.x, 1)
        return _Box(cell, x, y, round(cell.wide - 1, 1), _HIGH, f"{where}: {parts}")

    def _numbers(self, guest: Sequence[_Box], y: float) -> Words:
        """The numbers of blocks above the guest's cells of one block each."""
        numbers: Words = []
        free = 0.0  # from here on a number covers no other
        for box in guest:
            first, last = self._blocks(box.cell.start, box.cell.size)
            single = self.disk.block_size and first == last
            if single and box.cell.kind in STORED and box.x >= free:
                numbers.append((box.middle, y, "number", str(first)))
                free = box.x + _TWO_DIGITS
        return numbers

    def _note(self) -> str:
        scale = _(
            "1 px is {size}; what is too small is {least} px wide.",
            size=human(self.scale),
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


def _summary(disk: Disk, before: Disk) -> str:
    share = 100 * disk.file_size / max(disk.capacity, 1)
    grown = disk.file_size - before.file_size
    about = {
        "disk": clean(disk.summary()),
        "share": f"{share:.0f}" if share >= 10 else f"{share:.2g}",
        "grown": human(max(grown, 0)),
    }
    if grown <= 0:
        return _("{disk}. The file is {share} % as long as the disk.", **about)
    return _(
        "{disk}. The file is {share} % as long as the disk, {grown} more than before.", **about
    )


def _name(name: str, size: int, y: float) -> Words:
    """What a strip is, to its left."""
    return [(PAD, y + 13, "name", name), (PAD, y + 30, "note", human(size))]
