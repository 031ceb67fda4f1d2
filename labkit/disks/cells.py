"""What is drawn of a disk, apart from how: cells of the guest, cells of the file, lines between.

Both strips have one scale, which follows from the capacity unless the file is far longer: so disks
of one capacity compare at a glance, and the file of a dynamic one is short and grows to the right
in the order of writing. Blocks too many to tell apart share a cell.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nlargest
from itertools import pairwise

from labkit.disks.blockmap import Extent
from labkit.disks.disk import Disk
from labkit.disks.values import units
from labkit.messages import N_
from labkit.show.look import BLUE, ORANGE, PURPLE, SKY, YELLOW, Look
from labkit.show.text import clean

# What is not in the file has no colour. Dash: of the stripes across it, for grey printers.
STRIP_LOOKS = {
    N_("data"): Look(BLUE, "█"),
    N_("compressed"): Look(SKY, "▓", "3 3"),
    N_("header"): Look(PURPLE, "▒", "1 2"),
    N_("map"): Look(ORANGE, "░", "1.4 4"),
    N_("other"): Look(YELLOW, "▚", "1 6"),
    N_("free"): Look("", "·"),
    N_("zero"): Look("", "0"),
    N_("parent"): Look("", "^"),
    N_("not allocated"): Look("", "·"),
    N_("unknown"): Look("", "?"),
}
STORED = ("data", "compressed")
# A cell of the guest and one of the file, by number; bytes of the one in the other; are they new?
StripLine = tuple[int, int, int, bool]
_LEVELS = "▁▂▃▄▅▆▇█"  # how full a cell is
MOST_CELLS = 72  # of a file
MOST_LINES = 256  # between the strips
MOST_LABELS = 7  # below the file
GUEST = 512  # px: the longest guest
LONGEST_FILE = 536  # px
CELL = 8  # px: what a cell of the guest takes, at least
NARROWEST = 6  # px: what any cell takes


@dataclass
class StripCell:
    """``size`` bytes from ``start`` on, drawn as one ``x`` px from the left, and ``wide`` px.

    ``parts``: how many bytes are of each kind. A cell with a ``label`` stays one of its own.
    """

    start: int
    size: int
    kind: str
    parts: Counter[str]
    label: str = ""
    mark: str = ""
    x: float = 0
    wide: float = 0

    @property
    def sign(self) -> str:
        """The cell in text; of data, how full it is."""
        if self.kind != "data":
            return STRIP_LOOKS[self.kind].sign
        return _LEVELS[units(8 * self.parts["data"], self.size) - 1]


class DiskStrips:
    """The two strips of a disk. Since ``before``, an earlier look at it, new blocks are marked.

    ``scale``: bytes a px, more where they would not fit. LabError as the disk's.
    """

    def __init__(self, disk: Disk, before: Disk | None, scale: int) -> None:
        self.disk = disk
        self.scale = max(1, scale)
        for each in (disk, before or disk):
            least = max(units(each.capacity, GUEST), units(each.file_size, LONGEST_FILE))
            self.scale = max(self.scale, least)
        block = disk.block_size or 1
        self.step = units(CELL * self.scale, block) * block  # bytes of a cell of the guest
        runs = list(_runs(disk, self.step))
        # what is in the file, in its order
        self.stored = sorted(
            (run for run in runs if run.kind in STORED), key=lambda run: run.at or 0
        )
        self._new: set[Extent] = set()
        if before:
            self._new = set(self.stored).difference(_runs(before, self.step))
        self.sizes: Counter[str] = Counter()  # bytes of the file by label
        self.guest = self._guest_cells(runs)
        self.file = self._joined(self._file_cells())
        self._place(self.guest)
        self._place(self.file)
        old_end = before.file_size if before else disk.file_size
        for cell in self.file:
            if cell.start >= old_end and cell.kind != "free":
                cell.mark = "new"
        lines = self._lines()
        self.line_count = len(lines)
        self.lines = sorted(nlargest(MOST_LINES, lines, key=lambda line: line[2]))

    def _guest_cells(self, runs: list[Extent]) -> list[StripCell]:
        rest = "parent" if self.disk.parent else "not allocated"
        end = self.disk.capacity
        cells = [
            StripCell(at, min(self.step, end - at), rest, Counter())
            for at in range(0, end, self.step)
        ]
        for run in runs:
            cell = cells[run.start // self.step]
            cell.parts[rest if run.kind == "parent" else run.kind] += run.length
            if run in self._new:
                cell.mark = "new"
        for cell in cells:
            # the map of a record may be cut short
            cell.parts[rest] += cell.size - cell.parts.total()
            # what is stored is seen, however little it is
            kinds = [kind for kind, _size in cell.parts.most_common()]
            cell.kind = next((kind for kind in kinds if kind in STORED), kinds[0])
        return cells

    def _file_cells(self) -> list[StripCell]:
        """The file's regions, cut where a cell of the guest begins."""
        first: dict[int, int] = {}  # where in the file each cell of the guest begins
        for run in reversed(self.stored):
            first[run.start // self.step] = run.at or 0
        edges = sorted(set(first.values()))
        cells: list[StripCell] = []
        for region in self.disk.regions():
            end = region.offset + region.size
            label = clean(region.label) or region.kind
            fresh = label not in self.sizes and len(self.sizes) < MOST_LABELS
            self.sizes[label] += region.size
            inside = edges[bisect_right(edges, region.offset) : bisect_left(edges, end)]
            for low, high in pairwise([region.offset, *inside, end]):
                count = max(1, round((high - low) / self.step))
                step = max(1, units(high - low, count))  # about as much as a cell of the guest has
                for start in range(low, high, step):
                    size = min(step, high - start)
                    cell = StripCell(start, size, region.kind, Counter({region.kind: size}))
                    if fresh and start == region.offset:
                        cell.label = label
                    cells.append(cell)
        return cells

    def _joined(self, cells: list[StripCell]) -> list[StripCell]:
        """Join neighbours, small ones first, until they fit."""
        total = self.sizes.total()  # the file's size, but a record may say anything
        limit = 2 * total // max(len(cells), 1)
        room = max(total / self.scale, 8 * CELL) + MOST_LABELS * NARROWEST
        while len(cells) > MOST_CELLS or sum(map(self._width, cells)) > room:
            joined = cells[:1]
            for cell in cells[1:]:
                last = joined[-1]
                # of a kind, or a small one with a larger one; in the end, whatever it is
                alike = cell.kind == last.kind or cell.size <= last.size or limit > total
                if alike and not cell.label and last.size + cell.size <= limit:
                    last.size += cell.size
                    last.parts += cell.parts
                else:
                    joined.append(cell)
            cells = joined
            limit = 2 * limit + 1
        return cells

    def _width(self, cell: StripCell) -> float:
        return max(NARROWEST, cell.size / self.scale)

    def _place(self, cells: list[StripCell]) -> None:
        x = 0.0
        for cell in cells:
            width = self._width(cell)
            cell.x = round(x, 1)
            cell.wide = round(width, 1)
            x += width

    def _lines(self) -> list[StripLine]:
        """All lines; marks the cells of the file with new data."""
        starts = [cell.start for cell in self.file]
        sizes: Counter[tuple[int, int]] = Counter()
        new: set[tuple[int, int]] = set()
        for run in self.stored:
            begin = run.at or 0
            end = begin + (run.length if run.kind == "data" else 1)
            low = max(bisect_right(starts, begin) - 1, 0)
            high = bisect_left(starts, min(end, self.disk.file_size))
            for number in range(low, high):
                cell = self.file[number]
                size = min(end, cell.start + cell.size) - max(begin, cell.start)
                if size <= 0:  # the file may be cut short
                    continue
                ends = run.start // self.step, number
                sizes[ends] += size
                if run in self._new:
                    cell.mark = "new"
                    new.add(ends)
        return [(*ends, size, ends in new) for ends, size in sizes.items()]


def _runs(disk: Disk, step: int) -> Iterator[Extent]:
    """The disk's extents, cut at every ``step`` bytes of the guest."""
    for start, length, kind, at in disk.extents():
        end = min(start + length, disk.capacity)
        while start < end:
            size = min(end - start, step - start % step)
            yield Extent(start, size, kind, at)
            start += size
            if at is not None:
                at += size
