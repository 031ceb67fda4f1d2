"""Which row and column each node of a forest takes, and the texts beside it: pure data.

One row a node, depth first. On the left a rail that turns only where a tree branches: an only child
stays in its parent's column, siblings step one column to the right. Time is linear in the nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from labkit.show.look import MARKS, SHAPES
from labkit.show.nodes import (
    Children,
    Link,
    Node,
    by_key,
    check_links,
    children_of,
    from_the_roots,
)
from labkit.show.text import cells, clean, shorten

# From this column on the heaviest branch goes straight down: at most 9 + log2(nodes) columns.
DEEP = 8
LABEL = 42  # cells of the longest label
NOTE = 24
NAME = 30
NAMES = 34  # all names of one node together


class Caption(NamedTuple):
    """A text as it is drawn, cut to fit, and in full."""

    role: str  # "label", "note", or of a pill: "name" of the node, or the node it links "to"
    text: str
    full: str

    @property
    def is_pill(self) -> bool:
        return self.role in ("name", "to")

    @property
    def tip(self) -> str:
        """What a pointer that rests on the text shows: more of it, if it was cut."""
        return "" if self.text == self.full else shorten(self.full, 2000)


class Row(NamedTuple):
    """A node in its place."""

    node: Node
    column: int  # of the rail
    number: int  # of the row, from the top
    tree: int  # which tree of the forest, from the top
    label: Caption
    note: Caption
    pills: list[Caption]


@dataclass(frozen=True)
class TreeLayout:
    """A forest with a row for each node, from top to bottom."""

    title: str
    rows: list[Row]
    links: list[Link]
    legend: list[str]  # the kinds and marks to explain

    @cached_property
    def marked(self) -> bool:
        """Whether marks need a column of their own."""
        return any(row.node.mark for row in self.rows)

    @cached_property
    def by_key(self) -> dict[str | None, Row]:
        """The row of each node."""
        return {row.node.key: row for row in self.rows}

    @cached_property
    def label_cells(self) -> int:
        """Width of the longest label."""
        return max((cells(row.label.text) for row in self.rows), default=0)

    @cached_property
    def note_cells(self) -> int:
        """Width of the longest note."""
        return max((cells(row.note.text) for row in self.rows), default=0)


def lay_out(nodes: Iterable[Node], title: str, links: list[Link]) -> TreeLayout:
    """Give each node its place. Raises :class:`LabError` if they are no forest."""
    known = by_key(nodes)
    children = children_of(known)
    check_links(links, known)
    order = from_the_roots(children)
    pills = {node.key: _names(node) for node in order}
    for link in links:
        text = f"⇢ {clean(link.label)}: {clean(known[link.end].label)}"
        pills[link.start].append(Caption("to", shorten(text, LABEL), text))
    rows: list[Row] = []
    for node, column, tree in _walk(children, _weights(order, children)):
        label = _caption("label", node.label, LABEL)
        note = _caption("note", node.note, NOTE)
        rows.append(Row(node, column, len(rows), tree, label, note, pills[node.key]))
    used: set[str] = {node.kind for node in order} | {node.mark for node in order if node.mark}
    legend = [look for look in (*SHAPES, *MARKS) if look in used]
    return TreeLayout(clean(title), rows, links, legend if len(legend) > 1 else [])


def _caption(role: str, text: str, limit: int) -> Caption:
    full = clean(text)
    return Caption(role, shorten(full, limit), full)


def _names(node: Node) -> list[Caption]:
    """As many names as fit, at least one, and how many more there are."""
    pills = [_caption("name", name, NAME) for name in node.names]
    shown = pills[: NAMES // 3]
    while len(shown) > 1 and sum(cells(pill.text) + 3 for pill in shown) > NAMES:
        shown.pop()
    more = pills[len(shown) :]
    if more:
        shown.append(Caption("name", f"+{len(more)}", ", ".join(pill.full for pill in more)))
    return shown


def _weights(order: list[Node], children: Children) -> Counter[str]:
    """How many nodes hang from each, itself included."""
    weights = Counter[str]()
    for node in reversed(order):
        weights[node.key] = 1 + sum(weights[child.key] for child in children[node.key])
    return weights


def _walk(children: Children, weights: Counter[str]) -> Iterator[tuple[Node, int, int]]:
    """Each node with its column and the number of its tree, depth first."""
    tree = -1
    ahead = [(root, 0) for root in reversed(children[None])]
    while ahead:
        node, column = ahead.pop()
        if node.parent is None:
            tree += 1
        yield node, column, tree
        below = list(children[node.key])
        if column >= DEEP and below:
            heaviest = max(below, key=lambda child: weights[child.key])
            below.remove(heaviest)
            below.append(heaviest)
        last = column if column >= DEEP or len(below) == 1 else column + 1
        for child in reversed(below):
            ahead.append((child, last if child is below[-1] else column + 1))
