"""Where everything of a forest's picture stands, in px from its top left corner.

Made for SVG and for matplotlib alike: they differ in how they paint, not in what and where.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from labkit.messages import _
from labkit.show.layout import Caption, Row, TreeLayout
from labkit.show.look import PAD, SHAPES, Points
from labkit.show.text import cells

ROW = 28  # from one row to the next
COLUMN = 24  # from one column of the rail to the next
BESIDE = 22  # from the middle of a shape to what stands on its right
LANE = 12  # from one lane of links to the next
LANES = 12  # so many, then links share them
GAP = 12  # between two trees
HEADING = 28  # height of the title, and of the legend
MONO = 7.83  # advance of a monospace character (0.602 em) at 13 px
SMALL = 7.23  # the same at 12 px
CORNER = 6  # radius


class Sample(NamedTuple):
    """A shape or sign that the legend explains by its ``word``."""

    look: str  # a key of SHAPES or MARKS
    x: float
    word: str


class Scene:
    """The picture of a layout, ``width`` by ``height``."""

    title_y = PAD + 14
    sign_x = PAD + 6
    baseline = 4.5  # of a text, below the middle of its line

    def __init__(self, layout: TreeLayout) -> None:
        self.layout = layout
        self.top = PAD + (HEADING if layout.title else 0) + (HEADING if layout.legend else 0)
        self.legend_y = self.top - 18
        signs = 20 if layout.marked else 0
        self._first_column = PAD + signs + 10  # half a shape
        self._last_column = max((self.x(row) for row in layout.rows), default=PAD)
        self._lane = self._lanes()
        self.label_x = self._last_column + BESIDE + LANE * min(len(self._lane), LANES)
        texts = MONO * layout.label_cells + 7.5 * layout.note_cells
        self.note_x = self.label_x + 16 + round(texts)  # where notes end
        self.samples = list(self._samples())
        self.width = round(max(self._right_edges(), default=160)) + PAD
        bottom = self.y(layout.rows[-1]) + ROW / 2 if layout.rows else self.top
        self.height = round(bottom) + PAD

    def x(self, row: Row) -> int:
        """The middle of a row's shape, from the left."""
        return self._first_column + COLUMN * row.column

    def y(self, row: Row) -> float:
        """The middle of a row, from the top."""
        return self.top + ROW * (row.number + 0.5) + GAP * row.tree

    def captions(self, row: Row) -> Iterator[tuple[float, Caption]]:
        """Whatever is written in a row, each with its place from the left."""
        yield self.label_x, row.label
        if row.note.text:
            yield self.note_x, row.note
        x = self.note_x + 32.0
        for pill in row.pills:
            yield x, pill
            x = round(x + SMALL * cells(pill.text) + 24, 1)  # its box, and 8 px

    def edges(self) -> Iterator[Points]:
        """From each parent down to its child, then right if the child is in another column."""
        for row in self.layout.rows:
            parent = self.layout.by_key.get(row.node.parent)
            if parent is None:
                continue
            start = self.x(parent), self.y(parent)
            corner = self.x(parent), self.y(row)
            if row.column > parent.column:
                yield start, corner, (self.x(row) - 7, self.y(row))
            else:
                yield start, corner

    def links(self) -> Iterator[Points]:
        """From one node right into a lane, along it, and left to the other node."""
        for link in self.layout.links:
            start = self.layout.by_key[link.start]
            end = self.layout.by_key[link.end]
            lane = self._lane[link.end]
            yield (
                (self.x(start) + 12, self.y(start)),
                (lane, self.y(start)),
                (lane, self.y(end)),
                (self.x(end) + 12, self.y(end)),
            )

    def _lanes(self) -> dict[str, int]:
        """Where links run, by the node where they end: between the rail and the labels."""
        lanes: dict[str, int] = {}
        for link in self.layout.links:
            lane = self._last_column + BESIDE + LANE * (len(lanes) % LANES)
            lanes.setdefault(link.end, lane)
        return lanes

    def _samples(self) -> Iterator[Sample]:
        x = PAD + 9.0
        for look in self.layout.legend:
            word = _(look)
            yield Sample(look, x, word)
            x = round(x + 6.7 * len(word) + 44, 1)

    def _right_edges(self) -> Iterator[float]:
        """Where each text ends, at 8 px a cell: no font is wider."""
        if self.layout.title:
            yield PAD + 8 * cells(self.layout.title)
        for sample in self.samples:
            yield sample.x + 14 + 8 * cells(sample.word)
        for row in self.layout.rows:
            for x, caption in self.captions(row):
                yield x + 8 * cells(caption.text)


def pill_width(pill: Caption) -> float:
    """Of the box around a pill's text, which begins 8 px to the left of it."""
    return SMALL * cells(pill.text) + 16


def path(line: Points) -> str:
    """SVG path data along horizontal and vertical stretches, with rounded corners."""
    (first_x, first_y), (last_x, last_y) = line[0], line[-1]
    data = f"M{first_x:g} {first_y:g}"
    for (x0, y0), (x, y), (x2, y2) in zip(line, line[1:], line[2:], strict=False):
        data += f"L{x - _radius(x0, x):g} {y - _radius(y0, y):g}"
        data += f"Q{x:g} {y:g} {x + _radius(x, x2):g} {y + _radius(y, y2):g}"
    return f"{data}L{last_x:g} {last_y:g}"


def outline(kind: str, x: float, y: float) -> str:
    """The corners of a shape around a point, as SVG takes them."""
    return " ".join(f"{x + dx:g},{y + dy:g}" for dx, dy in SHAPES[kind].outline)


def _radius(start: float, end: float) -> int:
    """Of the corner at one end of a stretch, in the direction in which the stretch runs."""
    if start == end:
        return 0
    return CORNER if end > start else -CORNER
