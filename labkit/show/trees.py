"""Draw any tree or forest: one row per node and, on the left, a rail that turns only where the tree branches.

Knows nothing of Docker or VirtualBox: callers turn what they have into nodes. Layout, text and SVG take time
linear in the nodes and give the same bytes everywhere; matplotlib is imported only by `Tree.axes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.errors import LabError
from labkit.show.figure import Figure
from labkit.show.look import MARKS, SHAPES, STRONG, Points, ink
from labkit.show.text import cells, clean, isolate, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes


LOOKS = SHAPES | MARKS
LINES, PILLS = {"edge": "-", "link": "--"}, {"name": "[{}]", "to": "{}"}  # in matplotlib; in text
ROW, COL, LANE, PAD, GAP = (
    28,
    24,
    12,
    16,
    12,
)  # px: row, rail step, link step, margin, between trees
MONO, SMALL = 7.83, 7.23  # px: advance of a monospace character (0.602 em) at 13 and at 12 px
LABEL, NOTE, NAME, NAMES = 42, 24, 30, 34  # longest texts, in characters; NAMES: all of one node
DEEP = (
    8  # from this column on the heaviest branch goes straight down: at most 9 + log2(nodes) columns
)
_CSS = f"""
@text{{white-space:pre;unicode-bidi:isolate;font:13px system-ui,sans-serif;fill:{ink("fill")}}}
@.title{{font-size:15px;font-weight:600}}@.sign{{font-weight:700;text-anchor:middle}}@.note{{text-anchor:end}}
@.note,@.legend{{opacity:.78;font-variant-numeric:tabular-nums}}@.band{{fill-opacity:.15}}
@text.label,@text.name,@text.to{{font-family:ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}}
@text.name,@text.to{{font-size:12px}}@rect.name{{fill:#0072B2;fill-opacity:.13;stroke:#0072B2}}
@.edge,@.link,@rect.to{{fill:none;stroke:#808080;stroke-width:2}}@.arrow{{fill:#808080}}
@.link,@rect.to{{stroke-width:1.4;stroke-dasharray:4 3}}
@.node{{stroke:{ink("stroke")};stroke-width:1.3;stroke-linejoin:round}}
@.node.new,@.node.current{{stroke-width:2.4}}@.label.new,@.label.current{{font-weight:600}}
@.node.gone{{fill-opacity:.25}}@.label.gone{{text-decoration:line-through}}
""".strip().replace("@", ".lk-tree ")


def _quote(key: str | None) -> str:
    return repr(shorten(clean(key or ""), 80))


def _path(line: Points) -> str:
    """SVG path data along horizontal and vertical stretches, with corners rounded by 6 px."""
    path = f"M{line[0][0]:g} {line[0][1]:g}"
    for (x0, y0), (x, y), (x2, y2) in zip(line, line[1:], line[2:], strict=False):
        ax, ay, bx, by = (6 * ((q > p) - (q < p)) for p, q in ((x0, x), (y0, y), (x, x2), (y, y2)))
        path += f"L{x - ax:g} {y - ay:g}Q{x:g} {y:g} {x + bx:g} {y + by:g}"
    return f"{path}L{line[-1][0]:g} {line[-1][1]:g}"


@dataclass(frozen=True)
class Node:
    """One thing in a tree. `kind`: a key of SHAPES; `mark`: a key of MARKS; `names` are drawn as pills."""

    key: str
    label: str
    parent: str | None = None
    note: str = ""
    kind: str = "layer"
    names: tuple[str, ...] = ()
    mark: str = ""


class Row(NamedTuple):
    """A node in its place: rail column `x`, row `y`, centre (`px`, `py`) in px, and its texts as drawn."""

    node: Node
    x: int
    y: int
    px: float
    py: float
    label: str
    note: str
    pills: list[tuple[str, str, str]]  # ("name" or "to", text, text in full)


class Item(NamedTuple):
    """One thing to paint: a "band" behind a row, a line (LINES), a shape (SHAPES), or else a text."""

    cls: str
    points: Points
    text: str = ""
    mark: str = ""
    full: str = ""  # the text before it was shortened


class Tree(Figure):
    """A forest of `nodes`, with dashed `links` (from, to, label) across. LabError if it is no forest."""

    def __init__(
        self, nodes: Iterable[Node], title: str = "", links: Iterable[tuple[str, str, str]] = ()
    ) -> None:
        self.title, self.links, given = clean(title), list(links), dict[str, Node]()
        for node in nodes:
            key = _quote(node.key)
            if given.setdefault(node.key, node) is not node:
                raise LabError(f"Two nodes have the key {key}: give each node a key of its own.")
            if node.kind not in SHAPES or node.mark not in MARKS:
                raise LabError(
                    f"Node {key} has kind {_quote(node.kind)} and mark {_quote(node.mark)}: use a "
                    f"kind of {', '.join(SHAPES)} and a mark of {', '.join(MARKS)[2:]} or none."
                )
        self._kids: dict[str | None, list[Node]] = {key: [] for key in (None, *given)}
        for node in given.values():
            if node.parent not in self._kids:
                raise LabError(
                    f"Node {_quote(node.key)} has a parent {_quote(node.parent)} that is "
                    "not there: add that node, or make this one a root (parent=None)."
                )
            self._kids[node.parent].append(node)
        targets: dict[str, list[tuple[str, str, str]]] = {}
        for start, end, label in self.links:
            if start not in given or end not in given or start == end:
                raise LabError(
                    f"Link {_quote(start)} to {_quote(end)} must join two nodes of this tree."
                )
            text = f"⇢ {clean(label)}: {clean(given[end].label)}"
            targets.setdefault(start, []).append(("to", shorten(text, LABEL), text))
        seen = {look for node in given.values() for look in (node.kind, node.mark)} - {""}
        self.legend = [look for look in LOOKS if look in seen] if len(seen) > 1 else []
        self.gutter = not seen <= SHAPES.keys()
        self.top = PAD + 28 * bool(self.title) + 28 * bool(self.legend)
        self.rows = list(self._place(targets))
        self._at: dict[str | None, Row] = {row.node.key: row for row in self.rows}
        if lost := given.keys() - self._at.keys():
            raise LabError(
                f"Node {_quote(min(lost))} hangs in a circle of parents: a tree needs a root."
            )
        self._scene()

    def _place(self, targets: dict[str, list[tuple[str, str, str]]]) -> Iterator[Row]:
        """Depth first. An only child stays in its parent's column, siblings step one column to the right."""
        order, weight = list(self._kids[None]), Counter[str]()
        for node in order:  # grows while we walk: parents before children
            order += self._kids[node.key]
        for node in reversed(order):
            weight[node.key] = 1 + sum(weight[kid.key] for kid in self._kids[node.key])
        todo, y, tree = [(root, 0) for root in reversed(self._kids[None])], 0, -1
        while todo:
            node, x = todo.pop()
            tree += node.parent is None
            names = [clean(name) for name in node.names]
            pills = [("name", shorten(name, NAME), name) for name in names[: NAMES // 3]]
            while len(pills) > 1 and sum(cells(text) + 3 for _, text, _ in pills) > NAMES:
                pills.pop()
            if more := names[len(pills) :]:
                pills.append(("name", f"+{len(more)}", ", ".join(more)))
            px, py = PAD + 10 + 20 * self.gutter + COL * x, self.top + ROW * (y + 0.5) + GAP * tree
            yield Row(
                node,
                x,
                y,
                px,
                py,
                shorten(clean(node.label), LABEL),
                shorten(clean(node.note), NOTE),
                pills + targets.get(node.key, []),
            )
            kids, y = self._kids[node.key], y + 1
            if x >= DEEP and kids:
                kids.append(kids.pop(kids.index(max(kids, key=lambda kid: weight[kid.key]))))
            last = x if len(kids) == 1 or x >= DEEP else x + 1
            todo += [(kid, x + 1 if i else last) for i, kid in enumerate(reversed(kids))]

    def _scene(self) -> None:
        """Everything to paint, back to front. Links to one node share a lane between rail and labels."""
        rail, lanes = max((row.px for row in self.rows), default=PAD) + 22, dict[str, float]()
        for _, end, _ in self.links:
            lanes.setdefault(end, rail + LANE * (len(lanes) % 12))
        self.widths = (
            max((cells(row.label) for row in self.rows), default=0),
            max((cells(row.note) for row in self.rows), default=0),
        )
        label_x = rail + LANE * min(len(lanes), 12)
        note_x = label_x + 16 + round(MONO * self.widths[0] + 7.5 * self.widths[1])
        marked = [row for row in self.rows if row.node.mark]
        self.items = [Item("band", ((4, row.py - 13),), mark=row.node.mark) for row in marked]
        for row in self.rows:
            if up := self._at.get(row.node.parent):
                corners = (up.px, up.py), (up.px, row.py), (row.px - 7, row.py)
                self.items.append(Item("edge", corners if row.x > up.x else corners[:2]))
        for start, end, _ in self.links:
            a, b, x = self._at[start], self._at[end], lanes[end]
            self.items.append(
                Item("link", ((a.px + 12, a.py), (x, a.py), (x, b.py), (b.px + 12, b.py)))
            )
        self.items += [Item("title", ((PAD, PAD + 14),), self.title)] * bool(self.title)
        x = PAD + 9.0
        for word in self.legend:
            self.items += [
                Item(word, ((x, self.top - 18),))
                if word in SHAPES
                else Item("sign", ((x, self.top - 13.5),), MARKS[word].sign),
                Item("legend", ((x + 14, self.top - 13.5),), word),
            ]
            x = round(x + 6.7 * len(word) + 44, 1)
        for row in self.rows:
            mark, y, x = row.node.mark, row.py + 4.5, note_x + 32.0
            self.items += [Item("sign", ((PAD + 6, y),), MARKS[mark].sign)] * bool(mark)
            self.items.append(Item(row.node.kind, ((row.px, row.py),), mark=mark))
            self.items.append(
                Item("label", ((label_x, y),), row.label, mark, clean(row.node.label))
            )
            self.items += [Item("note", ((note_x, y),), row.note, "", clean(row.node.note))] * bool(
                row.note
            )
            for cls, text, full in row.pills:
                self.items.append(Item(cls, ((x, y),), text, "", full))
                x = round(x + SMALL * cells(text) + 24, 1)
        right = [item.points[0][0] + 8 * cells(item.text) for item in self.items]
        self.width = round(max(right, default=160)) + PAD
        self.height = round(self.rows[-1].py + ROW / 2 if self.rows else self.top) + PAD

    def data(self) -> dict[str, Any]:
        """Plain values for tests and JSON; nodes in drawing order with rail column x and row y."""
        nodes = [
            asdict(row.node) | {"names": [*row.node.names], "x": row.x, "y": row.y}
            for row in self.rows
        ]
        edges = [
            {"from": node["parent"], "to": node["key"]}
            for node in nodes
            if node["parent"] is not None
        ]
        links = [{"from": start, "to": end, "label": label} for start, end, label in self.links]
        return {"title": self.title, "nodes": nodes, "edges": edges, "links": links}

    def __str__(self) -> str:
        lines = [
            isolate(self.title),
            "   ".join(f"{LOOKS[word].sign} {word}" for word in self.legend),
        ]
        lines, (label, note) = [line for line in lines if line], self.widths
        rail = 1 + 2 * max((row.x for row in self.rows), default=0)
        reach = [0] * rail  # per rail column: down to which row its newest line goes
        for row in self.rows:
            up, kids = self._at.get(row.node.parent), self._kids[row.node.key]
            bend = up is not None and up.x < row.x
            art = "".join("│ " if reach[x] > row.y else "  " for x in range(row.x - bend))
            art += ("├─" if reach[row.x - 1] > row.y else "└─") * bend + SHAPES[row.node.kind].sign
            reach[row.x] = self._at[kids[-1].key].y if kids else 0
            columns = [
                f"{MARKS[row.node.mark].sign} " * self.gutter + f"{art:<{rail}}",
                isolate(row.label) + " " * (label - cells(row.label)),
                " " * (note - cells(row.note)) + isolate(row.note),
                *(PILLS[cls].format(isolate(text)) for cls, text, _ in row.pills),
            ]
            lines += [""] * (up is None and bool(lines)) + [
                "  ".join(filter(None, columns)).rstrip()
            ]
        return "\n".join(lines if self.rows else [*lines, "(empty)"])

    def _describe(self) -> str:
        """The picture in sentences, for those who do not see it."""

        def count(number: int, what: str) -> str:
            return f"{number} {what}{'s' * (number != 1)}"

        def some(what: str, items: list[str]) -> str:
            more = f" and {len(items) - 6} more" if len(items) > 6 else ""
            return f" {what}: {', '.join(items[:6])}{more}." if items else ""

        kinds = Counter(row.node.kind for row in self.rows)
        counts = [count(kinds[kind], kind) for kind in SHAPES if kind in kinds]
        text = f"A forest of {count(len(self._kids[None]), 'tree')}: {', '.join(counts) or 'no nodes'}."
        text += some("Names", [clean(name) for row in self.rows for name in row.node.names])
        for mark in filter(None, MARKS):
            text += some(
                mark.capitalize(), [row.label for row in self.rows if row.node.mark == mark]
            )
        return text + some(
            "Links", [f"{self._at[a].label} to {self._at[b].label}" for a, b, _ in self.links]
        )

    def svg(self) -> str:
        """One self-contained <svg>: for light and dark pages, grey printers and screen readers."""
        size = (
            f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        )
        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="lk-tree" role="img" {size}>'
            f"<title>{escape(self.title or 'Tree')}</title><desc>{escape(self._describe())}</desc>"
            f"<style>{_CSS}</style>"
        ]
        for cls, points, text, mark, full in self.items:
            (x, y), classes = points[0], f"{cls} {mark}".strip()
            if cls == "band":
                out.append(
                    f'<rect class="{classes}" fill="{MARKS[mark].colour}" x="{x:g}" y="{y:g}" '
                    f'width="{self.width - 8}" height="26" rx="4"/>'
                )
            elif cls in SHAPES:
                dash = MARKS[mark].dash or SHAPES[cls].dash
                corners = " ".join(f"{x + dx:g},{y + dy:g}" for dx, dy in SHAPES[cls].outline)
                out.append(
                    f'<polygon class="node {classes}" fill="{SHAPES[cls].colour}"'
                    + f' stroke-dasharray="{dash}"' * bool(dash)
                    + f' points="{corners}"/>'
                )
            elif cls in LINES:
                out.append(f'<path class="{cls}" d="{_path(points)}"/>')
                if cls == "link":
                    out.append(
                        f'<path class="arrow" d="M{points[-1][0] - 2:g} {points[-1][1]:g}l8 -4v8z"/>'
                    )
            else:
                if cls in PILLS:
                    out.append(
                        f'<rect class="{cls}" x="{x - 8:g}" y="{y - 14.5:g}" '
                        f'width="{SMALL * cells(text) + 16:.1f}" height="20" rx="10"/>'
                    )
                tip = (
                    f"<title>{escape(shorten(full, 2000))}</title>"
                    if full not in ("", text)
                    else ""
                )
                out.append(
                    f'<text class="{classes}" x="{x:g}" y="{y:g}">{tip}{escape(text)}</text>'
                )
        return "\n".join([*out, "</svg>"])

    def html(self) -> str:
        """The picture; a large one scrolls."""
        scroll = ";max-height:640px" if self.height > 960 else ""
        return f'<div style="overflow:auto{scroll}" tabindex="0">{self.svg()}</div>'

    def axes(self, ax: Axes | None = None) -> Axes:
        """Draw on matplotlib axes, by default of a new figure of the picture's size, and return them."""
        import matplotlib.pyplot as plt
        from matplotlib.patches import Polygon

        if ax is None:  # at most 600 inches: an image of 2**16 px cannot be rendered
            inch = min(1 / 96, 600 / max(self.width, self.height))
            ax = plt.figure(figsize=(self.width * inch, self.height * inch)).add_axes((0, 0, 1, 1))
        ax.set(xlim=(0, self.width), ylim=(self.height, 0), aspect="equal")
        ax.axis("off")
        box, ink = ax.get_window_extent(), plt.rcParams["text.color"]
        pt = (
            min(box.width / self.width, box.height / self.height) * 72 / ax.figure.dpi
        )  # points per px
        for cls, points, text, mark, _ in self.items:
            x, y = points[0]
            if cls == "band":
                ax.axhspan(y, y + 26, color=MARKS[mark].colour, alpha=0.15, lw=0, gid=cls)
            elif cls in SHAPES:
                dashes = [int(px) for px in (MARKS[mark].dash or SHAPES[cls].dash).split()]
                shape = Polygon(
                    [(x + dx, y + dy) for dx, dy in SHAPES[cls].outline], gid=cls, zorder=2.5
                )
                shape.set(
                    fc=SHAPES[cls].colour + "40" * (mark == "gone"),
                    ec=ink,
                    ls=(0, dashes or None),
                    lw=pt * (2.4 if mark in STRONG else 1.3),
                )
                ax.add_patch(shape)
            elif cls in LINES:
                ax.plot(
                    *zip(*points, strict=True),
                    color="#808080",
                    lw=1.6 * pt,
                    ls=LINES[cls],
                    gid=cls,
                    marker="<" if cls == "link" else "",
                    markevery=[-1],
                    markersize=6 * pt,
                )
            else:
                fill, edge, dash = (
                    ("#0072B222", "#0072B2", "-") if cls == "name" else ("none", "grey", "--")
                )
                pill = {
                    "boxstyle": "round,pad=.45,rounding_size=.8",
                    "fc": fill,
                    "ec": edge,
                    "ls": dash,
                }
                ax.text(
                    x,
                    y,
                    text,
                    gid=cls,
                    color=ink,
                    parse_math=False,
                    bbox=pill if cls in PILLS else None,
                    size=pt * (15 if cls == "title" else 12 if cls in PILLS else 13),
                    family="monospace" if cls in (*PILLS, "label") else "sans-serif",
                    weight="bold" if cls in ("title", "sign") or mark in STRONG else "normal",
                    ha="right" if cls == "note" else "center" if cls == "sign" else "left",
                )
        return ax
