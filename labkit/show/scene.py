"""Where everything of a forest's picture stands, in px from its top left corner."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.messages import _
from labkit.show.layout import Caption, Row, TreeLayout
from labkit.show.look import PAD, Points
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
WIDEST = 8  # px a cell: no font is wider
CORNER = 6  # radius


class Scene:
    """The picture of a layout, ``width`` by ``height``."""

    def __init__(self, layout: TreeLayout) -> None:
        self.layout = layout
        self.top = PAD + (HEADING if layout.title else 0) + (HEADING if layout.legend else 0)
        self._first_column = PAD + 10 + (20 if layout.marked else 0)  # half a shape; signs
        last_column = max((self.x(row) for row in layout.rows), default=PAD)
        # Where links run, by the node where they end: between the rail and the labels.
        self._lanes: dict[str, int] = {}
        for _start, end, _what in layout.links:
            lane = last_column + BESIDE + LANE * (len(self._lanes) % LANES)
            self._lanes.setdefault(end, lane)
        self.label_x = last_column + BESIDE + LANE * min(len(self._lanes), LANES)
        texts = MONO * layout.label_cells + 7.5 * layout.note_cells
        self.note_x = self.label_x + 16 + round(texts)  # where notes end
        # What the legend explains: a key of SHAPES or MARKS, its x, and the word for it.
        self.samples: list[tuple[str, float, str]] = []
        x = PAD + 9.0
        for look in layout.legend:
            self.samples.append((look, x, _(look)))
            x = round(x + 6.7 * len(_(look)) + 44, 1)
        right_edges = [x + 14 + WIDEST * cells(word) for _look, x, word in self.samples]
        for row in layout.rows:
            for x, caption, _box in self.captions(row):
                right_edges.append(x + WIDEST * cells(caption.text))
        if layout.title:
            right_edges.append(PAD + WIDEST * cells(layout.title))
        self.width = round(max(right_edges, default=160)) + PAD
        bottom = self.y(layout.rows[-1]) + ROW / 2 if layout.rows else self.top
        self.height = round(bottom) + PAD

    def x(self, row: Row) -> int:
        """The middle of a row's shape, from the left."""
        return self._first_column + COLUMN * row.column

    def y(self, row: Row) -> float:
        """The middle of a row, from the top."""
        return self.top + ROW * (row.number + 0.5) + GAP * row.tree

    def captions(self, row: Row) -> Iterator[tuple[float, Caption, float]]:
        """Whatever is written in a row: its x, and of a pill the width of its box, else 0."""
        yield self.label_x, row.label, 0
        if row.note.text:
            yield self.note_x, row.note, 0
        x = self.note_x + 32.0
        for pill in row.pills:
            text = SMALL * cells(pill.text)
            yield x, pill, text + 16
            x = round(x + text + 24, 1)  # its box, and 8 px

    def edges(self) -> Iterator[Points]:
        """From each parent down to its child, then right if the child is in another column."""
        for row in self.layout.rows:
            parent = self.layout.by_key.get(row.node.parent)
            if parent:
                down = (self.x(parent), self.y(parent)), (self.x(parent), self.y(row))
                if row.column > parent.column:
                    yield *down, (self.x(row) - 7, self.y(row))
                else:
                    yield down

    def links(self) -> Iterator[Points]:
        """From one node right into a lane, along it, and left to the other node."""
        for start, end, _what in self.layout.links:
            row = self.layout.by_key[start]
            other = self.layout.by_key[end]
            beside = self.x(row) + 12, self.y(row)
            tip = self.x(other) + 12, self.y(other)
            lane = self._lanes[end]
            yield beside, (lane, self.y(row)), (lane, self.y(other)), tip


def path(line: Points) -> str:
    """SVG path data along horizontal and vertical stretches, with rounded corners."""
    data = "M{:g} {:g}".format(*line[0])
    for (x0, y0), (x, y), (x2, y2) in zip(line, line[1:], line[2:], strict=False):
        data += f"L{x - _radius(x0, x):g} {y - _radius(y0, y):g}"
        data += f"Q{x:g} {y:g} {x + _radius(x, x2):g} {y + _radius(y, y2):g}"
    return data + "L{:g} {:g}".format(*line[-1])


def _radius(start: float, end: float) -> int:
    """Of the corner at one end of a stretch, in the direction in which the stretch runs."""
    if start == end:
        return 0
    return CORNER if end > start else -CORNER
