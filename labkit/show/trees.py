"""A tree or forest as a figure: in text, as SVG, and in sentences.

Knows nothing of Docker or VirtualBox: callers turn what they have into nodes. Time is linear in the
nodes, and the bytes are the same everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from markupsafe import Markup

from labkit.messages import N_, _
from labkit.show import look
from labkit.show.layout import Link, Node, TreeLayout
from labkit.show.look import MARKS, SHAPES
from labkit.show.markup import Figure, macro, render
from labkit.show.scene import Scene, path
from labkit.show.text import cells, clean, isolate

TALL = 960  # px from which on a picture scrolls
MANY = 6  # things named in a description, before only their number is told
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

    Keys are unique, and links join two of them. Children are drawn in the order given, even if
    they are given before their parent. Raises :class:`LabError` if the nodes are no forest.
    """

    def __init__(self, nodes: Iterable[Node], title: str = "", links: Iterable[Link] = ()) -> None:
        self.layout = TreeLayout(nodes, title, links)
        self.scene = Scene(self.layout)

    def __str__(self) -> str:
        layout = self.layout
        legend = "   ".join(f"{(SHAPES | MARKS)[word].sign} {_(word)}" for word in layout.legend)
        lines = [line for line in (isolate(layout.title), legend) if line]
        width = 1 + 2 * max((row.column for row in layout.rows), default=0)
        for row, rail in zip(layout.rows, self._rails(), strict=True):
            if row.node.parent is None and lines:
                lines.append("")
            mark = f"{MARKS[row.node.mark].sign} " if layout.marked else ""
            columns = [
                f"{mark}{rail:<{width}}",
                isolate(row.label.text) + " " * (layout.label_cells - cells(row.label.text)),
                " " * (layout.note_cells - cells(row.note.text)) + isolate(row.note.text),
            ]
            for pill in row.pills:
                text = isolate(pill.text)
                columns.append(f"[{text}]" if pill.role == "name" else text)
            lines.append("  ".join(filter(None, columns)).rstrip())
        if not layout.rows:
            lines.append(_("(empty)"))
        return "\n".join(lines)

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
        rows = self.layout.rows
        trees = _.many("{n} tree", "{n} trees", sum(row.node.parent is None for row in rows))
        kinds = Counter[str](row.node.kind for row in rows)
        counts = [counted(kinds[kind]) for kind, counted in _COUNTED.items() if kind in kinds]
        things = ", ".join(counts) or _("no nodes")
        sentences = [_("A forest of {trees}: {things}.", trees=trees, things=things)]
        for sentence, labels in self._named():
            told = ", ".join(labels[:MANY])
            if len(labels) > MANY:
                told = _("{things} and {n} more", things=told, n=len(labels) - MANY)
            if labels:
                sentences.append(_(sentence, things=told))
        return " ".join(sentences)

    def _named(self) -> Iterator[tuple[str, list[str]]]:
        """Each sentence that names things, and the things, of which there may be none."""
        rows = self.layout.rows
        yield N_("Names: {things}."), [clean(name) for row in rows for name in row.node.names]
        for mark, sentence in _MARKED.items():
            yield sentence, [row.label.text for row in rows if row.node.mark == mark]
        labels = {row.node.key: row.label.text for row in rows}
        links = [
            _("{start} to {end}", start=labels[start], end=labels[end])
            for start, end, _what in self.layout.links
        ]
        yield N_("Links: {things}."), links

    def svg(self) -> Markup:
        """One self-contained <svg>: for light and dark pages, grey printers and screen readers."""
        return render(
            "show/tree.svg",
            scene=self.scene,
            title=self.layout.title or _("Tree"),
            description=self.description(),
            look=look,
            path=path,
        )

    def html(self) -> Markup:
        """The picture; a large one scrolls."""
        return macro("show/output.html", "scrolling", self.svg(), self.scene.height > TALL)
