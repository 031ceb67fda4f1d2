"""A tree's picture painted by matplotlib, for paper: the same things and places as in SVG."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Page
from matplotlib.patches import FancyBboxPatch, Polygon

from labkit.show.layout import Row
from labkit.show.look import BLUE, GREY, MARKS, PAD, SHAPES, STRONG, Points
from labkit.show.scene import Scene, pill_width

PX = 96  # in an inch: CSS Values and Units, 5.2
LARGEST = 200  # inches of a page in PDF: ISO 32000-1, Annex C
INK = "black"
SIZES = {"title": 15, "name": 12, "to": 12}  # px; else 13
MONOSPACE = ("label", "name", "to")
BOLD = ("title", "sign")
ALIGNED = {"note": "right", "sign": "center"}  # else left


def plot(scene: Scene) -> Page:
    """A page of the picture's size, or as large as a page can be."""
    inch = min(1 / PX, LARGEST / max(scene.width, scene.height))
    page = Page(figsize=(scene.width * inch, scene.height * inch))
    axes = page.add_axes((0, 0, 1, 1), xlim=(0, scene.width), ylim=(scene.height, 0))
    axes.axis("off")
    brush = _Brush(axes, 72 * inch)
    for row in scene.layout.rows:
        if row.node.mark:
            brush.band(row.node.mark, scene.y(row))
    for edge in scene.edges():
        brush.line("edge", edge, 2, "-")
    for link in scene.links():
        brush.line("link", link, 1.4, "--")
        brush.arrow(link[-1])
    if scene.layout.title:
        brush.text("title", scene.layout.title, PAD, scene.title_y)
    for sample in scene.samples:
        if sample.look in SHAPES:
            brush.shape(sample.look, "", sample.x, scene.legend_y)
        else:
            brush.text("sign", MARKS[sample.look].sign, sample.x, scene.legend_y + scene.baseline)
        brush.text("legend", sample.word, sample.x + 14, scene.legend_y + scene.baseline)
    for row in scene.layout.rows:
        _row(brush, scene, row)
    return page


def _row(brush: _Brush, scene: Scene, row: Row) -> None:
    mark = row.node.mark
    y = scene.y(row)
    if mark:
        brush.text("sign", MARKS[mark].sign, scene.sign_x, y + scene.baseline)
    brush.shape(row.node.kind, mark, scene.x(row), y)
    for x, caption in scene.captions(row):
        if caption.is_pill:
            brush.pill(caption.role, x, y, pill_width(caption))
        strong = caption.role == "label" and mark in STRONG
        brush.text(caption.role, caption.text, x, y + scene.baseline, strong)


class _Brush:
    """Paints on axes whose unit is one px; ``point`` is one px in points, the unit of lines.

    Each thing carries as its ``gid`` the class that it has in SVG.
    """

    def __init__(self, axes: Axes, point: float) -> None:
        self._axes = axes
        self._point = point

    def band(self, mark: str, y: float) -> None:
        colour = MARKS[mark].colour
        self._axes.axhspan(y - 13, y + 13, color=colour, alpha=0.15, lw=0, gid="band")

    def line(self, role: str, points: Points, width: float, style: str) -> None:
        xs = [x for x, _ in points]
        ys = [y for _, y in points]
        self._axes.plot(xs, ys, color=GREY, lw=width * self._point, ls=style, gid=role)

    def arrow(self, end: tuple[float, float]) -> None:
        x, y = end
        corners = (x - 2, y), (x + 6, y - 4), (x + 6, y + 4)
        self._axes.add_patch(Polygon(corners, fc=GREY, lw=0, gid="arrow"))

    def shape(self, kind: str, mark: str, x: float, y: float) -> None:
        look = SHAPES[kind]
        dash = [int(px) for px in (MARKS[mark].dash or look.dash).split()]
        self._axes.add_patch(
            Polygon(
                [(x + dx, y + dy) for dx, dy in look.outline],
                gid=kind,
                zorder=2.5,  # over lines
                fc=(look.colour, 0.25 if mark == "gone" else 1),
                ec=INK,
                ls=(0, dash or None),
                lw=self._point * (2.4 if mark in STRONG else 1.3),
            )
        )

    def pill(self, role: str, x: float, y: float, width: float) -> None:
        """The box around a text that begins at ``x``."""
        is_name = role == "name"
        self._axes.add_patch(
            FancyBboxPatch(
                (x - 8, y - 10),
                width,
                20,
                boxstyle="round,pad=0,rounding_size=10",
                gid=role,
                ec=BLUE if is_name else GREY,
                fc=(BLUE, 0.13) if is_name else "none",
                ls="-" if is_name else "--",
                lw=1.4 * self._point,
            )
        )

    def text(self, role: str, words: str, x: float, y: float, strong: bool = False) -> None:
        """Words on the baseline ``y``."""
        self._axes.text(
            x,
            y,
            words,
            gid=role,
            color=INK,
            parse_math=False,  # $HOME is no formula
            size=self._point * SIZES.get(role, 13),
            family="monospace" if role in MONOSPACE else "sans-serif",
            weight="bold" if strong or role in BOLD else "normal",
            ha=ALIGNED.get(role, "left"),
        )
