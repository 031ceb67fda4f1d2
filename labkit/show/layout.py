"""The nodes of a forest, and which row and column each of them takes: pure data.

One row a node, depth first. On the left a rail that turns only where a tree branches: an only child
stays in its parent's column, siblings step one column to the right. Time is linear in the nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from labkit.errors import LabError
from labkit.show.look import MARKS, SHAPES
from labkit.show.text import cells, clean, shorten

Kind = Literal["image", "layer", "container", "machine", "state", "snapshot", "disk"]
Mark = Literal["", "new", "gone", "shared", "current"]
Link = tuple[str, str, str]  # from the node of this key to that of that key, and what it says

# From this column on the heaviest branch goes straight down: at most 9 + log2(nodes) columns.
DEEP = 8
LABEL = 42  # cells of the longest label
NOTE = 24
NAME = 30
NAMES = 34  # all names of one node together


@dataclass(frozen=True)
class Node:
    """One thing in a tree; its ``names`` are drawn as pills."""

    key: str
    label: str
    parent: str | None = None  # the key of another node, or None for a root
    note: str = ""
    kind: Kind = "layer"
    names: tuple[str, ...] = ()
    mark: Mark = ""


Children = dict[str | None, list[Node]]  # by the key of their parent; under None: the roots


class Caption(NamedTuple):
    """A text as it is drawn, cut to fit."""

    role: str  # "label", "note", or of a pill: "name" of the node, or the node it links "to"
    text: str
    tip: str  # what a pointer that rests on it shows: more of it, if it was cut


class Row(NamedTuple):
    """A node in its place."""

    node: Node
    column: int  # of the rail
    number: int  # of the row, from the top
    tree: int  # which tree of the forest, from the top
    label: Caption
    note: Caption
    pills: list[Caption]


class TreeLayout:
    """A forest with a row for each node, from top to bottom; ``links`` join nodes that it has.

    Raises :class:`LabError` if a parent is missing, or in a circle of parents.
    """

    def __init__(self, nodes: Iterable[Node], title: str, links: Iterable[Link]) -> None:
        self.title = clean(title)
        self.links = list(links)
        self.rows: list[Row] = []
        for node, column, tree in _walk({node.key: node for node in nodes}):
            label = _caption("label", clean(node.label), LABEL)
            note = _caption("note", clean(node.note), NOTE)
            self.rows.append(Row(node, column, len(self.rows), tree, label, note, _names(node)))
        self.by_key: dict[str | None, Row] = {row.node.key: row for row in self.rows}
        for start, end, what in self.links:
            text = f"⇢ {clean(what)}: {clean(self.by_key[end].node.label)}"
            self.by_key[start].pills.append(_caption("to", text, LABEL))
        self.label_cells = max((cells(row.label.text) for row in self.rows), default=0)
        self.note_cells = max((cells(row.note.text) for row in self.rows), default=0)
        marks = {row.node.mark for row in self.rows} - {""}
        used = marks | {row.node.kind for row in self.rows}
        self.marked = bool(marks)  # marks have a column of their own
        words = [word for word in (*SHAPES, *MARKS) if word in used]
        self.legend = words if len(words) > 1 else []  # with one, there is nothing to tell apart


def _caption(role: str, text: str, limit: int) -> Caption:
    short = shorten(text, limit)
    return Caption(role, short, "" if short == text else shorten(text, 2000))


def _names(node: Node) -> list[Caption]:
    """As many names as fit, at least one, and how many more there are."""
    names = [clean(name) for name in node.names]
    shown = [_caption("name", name, NAME) for name in names[: NAMES // 3]]
    while len(shown) > 1 and sum(cells(pill.text) + 3 for pill in shown) > NAMES:
        shown.pop()
    more = names[len(shown) :]
    if more:
        shown.append(Caption("name", f"+{len(more)}", shorten(", ".join(more), 2000)))
    return shown


def _walk(nodes: dict[str, Node]) -> Iterator[tuple[Node, int, int]]:
    """Each node with its column and the number of its tree, depth first."""
    children = _children(nodes)
    weights = _weights(nodes, children)
    tree = -1
    ahead = [(root, 0) for root in reversed(children[None])]
    while ahead:
        node, column = ahead.pop()
        if node.parent is None:
            tree += 1
        yield node, column, tree
        below = list(children[node.key])
        straight = None  # who stays in this column, and comes last
        if below and (len(below) == 1 or column >= DEEP):
            straight = max(below, key=lambda child: weights[child.key])
            below.sort(key=lambda child: child is straight)
        for child in reversed(below):
            ahead.append((child, column if child is straight else column + 1))


def _children(nodes: dict[str, Node]) -> Children:
    """Who is under whom, in the order given."""
    children: Children = {key: [] for key in (None, *nodes)}
    for node in nodes.values():
        if node.parent not in children:
            raise LabError(
                "Node {key:.80} has a parent {parent:.80} that is not there: add that node, or "
                "make this one a root (parent=None).",
                key=repr(clean(node.key)),
                parent=repr(clean(node.parent or "")),
            )
        children[node.parent].append(node)
    return children


def _weights(nodes: dict[str, Node], children: Children) -> Counter[str]:
    """How many nodes hang from each, itself included."""
    from_roots = list(children[None])
    for node in from_roots:  # the list grows while it is walked
        from_roots += children[node.key]
    lost = nodes.keys() - {node.key for node in from_roots}
    if lost:
        raise LabError(
            "Node {key:.80} hangs in a circle of parents: a tree needs a root.",
            key=repr(clean(min(lost))),
        )
    weights = Counter[str]()
    for node in reversed(from_roots):
        weights[node.key] = 1 + sum(weights[child.key] for child in children[node.key])
    return weights
