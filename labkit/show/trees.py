"""A tree or forest as a figure: in text, as SVG, and as plain data.

Knows nothing of Docker or VirtualBox: callers turn what they have into nodes. Time is linear in the
nodes, and the bytes are the same everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

from markupsafe import Markup

from labkit.messages import N_, _
from labkit.show import look
from labkit.show.figure import Figure
from labkit.show.layout import lay_out
from labkit.show.look import MARKS, SHAPES
from labkit.show.markup import macro, render
from labkit.show.nodes import Link, Node
from labkit.show.scene import Scene, outline, path, pill_width
from labkit.show.text import cells, clean, isolate

__all__ = ["Node", "Tree"]

TALL = 960  # px from which on a picture scrolls
MANY = 6  # things named in a description, before only their number is told
_PILLS = {"name": "[{}]", "to": "{}"}  # in text
_COUNTED: dict[str, Callable[[int], str]] = {
    "image": lambda n: _.many("{n} image", "{n} images", n),
    "layer": lambda n: _.many("{n} layer", "{n} layers", n),
    "container": lambda n: _.many("{n} container", "{n} containers", n),
    "machine": lambda n: _.many("{n} machine", "{n} machines", n),
    "state": lambda n: _.many("{n} state", "{n} states", n),
    "snapshot": lambda n: _.many("{n} snapshot", "{n} snapshots", n),
    "disk": lambda n: _.many("{n} disk", "{n} disks", n),
}
_MARKED = {
    "new": N_("New: {things}."),
    "gone": N_("Gone: {things}."),
    "shared": N_("Shared: {things}."),
    "current": N_("Current: {things}."),
}


class Tree(Figure):
    """A forest of ``nodes``, with dashed ``links`` (from, to, label) across.

    Children are drawn in the order given, even if they are given before their parent. Raises
    :class:`LabError` if the nodes are no forest.
    """

    def __init__(
        self, nodes: Iterable[Node], title: str = "", links: Iterable[tuple[str, str, str]] = ()
    ) -> None:
        self.layout = lay_out(nodes, title, [Link(*link) for link in links])

    def data(self) -> dict[str, Any]:
        """Plain values for tests and JSON; nodes in drawing order with rail column x and row y."""
        nodes = []
        edges = []
        for row in self.layout.rows:
            node = row.node
            place = {"names": [*node.names], "x": row.column, "y": row.number}
            nodes.append(asdict(node) | place)
            if node.parent is not None:
                edges.append({"from": node.parent, "to": node.key})
        links = [
            {"from": link.start, "to": link.end, "label": link.label} for link in self.layout.links
        ]
        return {"title": self.layout.title, "nodes": nodes, "edges": edges, "links": links}

    def __str__(self) -> str:
        layout = self.layout
        legend = "   ".join(f"{(SHAPES | MARKS)[look].sign} {_(look)}" for look in layout.legend)
        lines = [line for line in (isolate(layout.title), legend) if line]
        for row, line in zip(layout.rows, self._lines(), strict=True):
            if row.node.parent is None and lines:
                lines.append("")
            lines.append(line)
        if not layout.rows:
            lines.append(_("(empty)"))
        return "\n".join(lines)

    def _lines(self) -> Iterator[str]:
        """Each row in text: mark, rail, label, note, pills."""
        layout = self.layout
        width = 1 + 2 * max((row.column for row in layout.rows), default=0)
        for row, rail in zip(layout.rows, self._rails(), strict=True):
            mark = f"{MARKS[row.node.mark].sign} " if layout.marked else ""
            label = row.label.text
            note = row.note.text
            columns = [
                f"{mark}{rail:<{width}}",
                isolate(label) + " " * (layout.label_cells - cells(label)),
                " " * (layout.note_cells - cells(note)) + isolate(note),
                *(_PILLS[pill.role].format(isolate(pill.text)) for pill in row.pills),
            ]
            yield "  ".join(filter(None, columns)).rstrip()

    def _rails(self) -> Iterator[str]:
        """The shape of each row, and the lines that pass or reach it on its left."""
        rows = self.layout.rows
        last_child = {row.node.parent: row.number for row in rows}
        reach = [0] * len(rows)  # by column: down to which row its newest line goes
        for row in rows:
            parent = self.layout.by_key.get(row.node.parent)
            turn = ""
            passed = row.column
            if parent and parent.column < row.column:
                passed = parent.column
                turn = "├─" if reach[passed] > row.number else "└─"
            lines = ["│ " if reach[column] > row.number else "  " for column in range(passed)]
            reach[row.column] = last_child.get(row.node.key, 0)
            yield "".join(lines) + turn + SHAPES[row.node.kind].sign

    def description(self) -> str:
        """The picture in sentences, for those who do not see it."""
        roots = sum(row.node.parent is None for row in self.layout.rows)
        trees = _.many("{n} tree", "{n} trees", roots)
        kinds = Counter[str](row.node.kind for row in self.layout.rows)
        counts = [counted(kinds[kind]) for kind, counted in _COUNTED.items() if kind in kinds]
        things = ", ".join(counts) or _("no nodes")
        sentences = [_("A forest of {trees}: {things}.", trees=trees, things=things)]
        for sentence, named in self._named():
            if named:
                sentences.append(_(sentence, things=_some(named)))
        return " ".join(sentences)

    def _named(self) -> Iterator[tuple[str, list[str]]]:
        """Each sentence that names things, and the things, of which there may be none."""
        rows = self.layout.rows
        yield N_("Names: {things}."), [clean(name) for row in rows for name in row.node.names]
        for mark, sentence in _MARKED.items():
            yield sentence, [row.label.text for row in rows if row.node.mark == mark]
        labels = {row.node.key: row.label.text for row in rows}
        links = self.layout.links
        yield (
            N_("Links: {things}."),
            [_("{start} to {end}", start=labels[a], end=labels[b]) for a, b, _label in links],
        )

    @cached_property
    def scene(self) -> Scene:
        """The picture, to be painted."""
        return Scene(self.layout)

    def svg(self) -> Markup:
        """One self-contained <svg>: for light and dark pages, grey printers and screen readers."""
        return render(
            "show/tree.svg",
            scene=self.scene,
            layout=self.layout,
            title=self.layout.title or _("Tree"),
            description=self.description(),
            look=look,
            path=path,
            outline=outline,
            pill_width=pill_width,
        )

    def html(self) -> Markup:
        """The picture; a large one scrolls."""
        return macro("show/output.html", "scrolling", self.svg(), self.scene.height > TALL)


def _some(things: Sequence[str]) -> str:
    """The first of many, and how many more."""
    named = ", ".join(things[:MANY])
    more = len(things) - MANY
    return _("{things} and {n} more", things=named, n=more) if more > 0 else named
