"""The SVG of a tree, read back: what is drawn follows from the nodes it was given."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from samples.trees import FOREST, MACHINES, TEXT, chain, forest, forests, machines

from labkit.show.layout import LABEL, Node
from labkit.show.text import clean, shorten
from labkit.show.trees import Tree

Point = tuple[float, float]
SVG = "{http://www.w3.org/2000/svg}"

# The house look, written down a second time on purpose: a change must turn a test red.
COLOURS = {
    "image": "#0072B2",
    "layer": "#56B4E9",
    "container": "#E69F00",
    "machine": "#CC79A7",
    "state": "#CC79A7",
    "snapshot": "#009E73",
    "disk": "#F0E442",
}
CORNERS = {
    "image": 5,
    "layer": 4,
    "container": 4,
    "machine": 14,
    "state": 3,
    "snapshot": 21,
    "disk": 28,
}
TINTS = {"new": "#009E73", "gone": "#D55E00", "shared": "#CC79A7", "current": "#E69F00"}
SIGNS = {"new": "+", "gone": "−", "shared": "=", "current": "▶"}
DASHES = {"gone": "2 2", "shared": "1 2"}


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg.encode("utf-8"))


def every(root: ET.Element, tag: str, cls: str) -> list[ET.Element]:
    return [element for element in root.iter(SVG + tag) if cls in element.get("class", "").split()]


def own_text(element: ET.Element) -> str:
    """The text shown, without the tooltip."""
    return (element.text or "") + "".join(child.tail or "" for child in element)


def texts(root: ET.Element, cls: str) -> list[str]:
    return [own_text(element) for element in every(root, "text", cls)]


def number(element: ET.Element, name: str) -> float:
    return float(element.get(name, ""))


def corners(polygon: ET.Element) -> list[Point]:
    pairs = [pair.split(",") for pair in polygon.get("points", "").split()]
    return [(float(x), float(y)) for x, y in pairs]


def middle(polygon: ET.Element) -> Point:
    """Of its bounding box."""
    xs = [x for x, _ in corners(polygon)]
    ys = [y for _, y in corners(polygon)]
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def shapes(root: ET.Element) -> list[ET.Element]:
    """Those of the rows, from the top: the last ones; those before them are the legend."""
    drawn = every(root, "polygon", "node")
    return drawn[len(drawn) - len(every(root, "text", "label")) :]


def ends(path: ET.Element) -> tuple[Point, Point]:
    numbers = [float(each) for each in re.findall(r"-?\d+(?:\.\d+)?", path.get("d", ""))]
    return (numbers[0], numbers[1]), (numbers[-2], numbers[-1])


def near(a: Point, b: Point) -> bool:
    return abs(a[0] - b[0]) < 1.5 and abs(a[1] - b[1]) < 1.5


def the_node(centres: dict[str, Point], at: Point) -> str:
    return next(key for key, centre in centres.items() if near(centre, at))


def check_edge(path: ET.Element, centres: dict[str, Point]) -> tuple[str, str]:
    """Which parent and child an edge joins; it runs through no other node."""
    (x, y), (x2, y2) = ends(path)
    turns = re.findall(r"Q(\S+) (\S+)", path.get("d", ""))
    if x == x2:
        assert not turns
        child = the_node(centres, (x2, y2))
    else:
        assert turns == [(f"{x:g}", f"{y2:g}")], "below the parent, left of the child"
        child = the_node(centres, (x2 + 7, y2))
    between = [1 for cx, cy in centres.values() if abs(cx - x) < 1.5 and y + 1 < cy < y2 - 1]
    assert not between, "runs through a shape"
    return the_node(centres, (x, y)), child


def check_row(root: ET.Element, node: Node, shape: ET.Element, label: ET.Element) -> None:
    """Shape, label, sign and band of a node say what it is, beside each other."""
    _, y = middle(shape)
    marked = [node.mark] if node.mark else []
    assert shape.get("class", "").split() == ["node", node.kind, *marked]
    assert shape.get("fill") == COLOURS[node.kind]
    assert len(corners(shape)) == CORNERS[node.kind]
    dash = "3 2" if node.kind == "container" else None
    assert shape.get("stroke-dasharray") == DASHES.get(node.mark, dash)
    assert label.get("class", "").split() == ["label", *marked]
    assert abs(number(label, "y") - y - 4.5) < 1
    signs = [
        own_text(sign)
        for sign in every(root, "text", "sign")
        if number(sign, "y") == number(label, "y")
    ]
    assert signs == [SIGNS[mark] for mark in marked]
    bands = [
        band.get("fill")
        for band in every(root, "rect", "band")
        if abs(number(band, "y") + 13 - y) < 1
    ]
    assert bands == [TINTS[mark] for mark in marked]


def check_picture(nodes: list[Node], svg: str) -> None:
    """Everything in the picture follows from the nodes, whose labels all differ."""
    root = parse(svg)
    by_label = {node.label: node for node in nodes}
    labels = every(root, "text", "label")
    drawn = [by_label[own_text(label)] for label in labels]
    assert len(drawn) == len(nodes) and {*drawn} == {*nodes}
    centres = {node.key: middle(shape) for node, shape in zip(drawn, shapes(root), strict=True)}
    edges = [check_edge(path, centres) for path in every(root, "path", "edge")]
    expected = [(node.parent, node.key) for node in nodes if node.parent is not None]
    assert sorted(edges) == sorted(expected)
    for node, shape, label in zip(drawn, shapes(root), labels, strict=True):
        check_row(root, node, shape, label)
    assert len(every(root, "rect", "band")) == sum(node.mark != "" for node in nodes)


@pytest.mark.parametrize("nodes", [FOREST, MACHINES])
def test_picture(nodes: list[Node]) -> None:
    check_picture(nodes, Tree(nodes, "T", [(nodes[-1].key, nodes[0].key, "x")]).svg())


@given(forests())
def test_picture_of_any_forest(nodes: list[Node]) -> None:
    svg = Tree(nodes).svg()
    check_picture(nodes, svg)
    drawn = shapes(parse(svg))
    for above, below in pairwise(drawn):
        lowest = max(y for _, y in corners(above))
        assert lowest < min(y for _, y in corners(below)), "shapes overlap"
    heights = [middle(shape)[1] for shape in drawn]
    order = Tree(nodes).layout.rows
    for (above, below), row in zip(pairwise(heights), order[1:], strict=True):
        step = 28 if row.node.parent is not None else 40
        assert abs(below - above - step) < 1, "only trees stand apart"


@pytest.mark.parametrize(
    "old, new",
    [
        (r'(class="edge" d="M\d+ )(\d+)', r"\g<1>9\2"),  # an edge leaves from elsewhere
        (r'(class="edge" d="M\S+ \S+L\S+ )\d+', r"\g<1>500"),  # an edge ends elsewhere
        (r'<path class="edge"[^>]*>', ""),  # an edge is missing
        ("#56B4E9(?=[^#]*?echo hello)", "#E69F00"),  # a layer in the colour of a container
        ('fill="#009E73"', 'fill="#D55E00"'),  # the tint of "new" is that of "gone"
        (">\\+<", ">=<"),  # the sign of "new"
        ('class="label gone"', 'class="label"'),  # no longer struck through
        (' stroke-dasharray="3 2"', ""),  # a container with a solid outline
        (">web<", ">mine<"),  # a wrong label
    ],
)
def test_a_changed_picture_is_noticed(old: str, new: str) -> None:
    head, rows = str(Tree(FOREST).svg()).split("</style>")
    changed = re.sub(old, new, rows)
    assert changed != rows
    with pytest.raises((AssertionError, StopIteration, KeyError)):
        check_picture(FOREST, f"{head}</style>{changed}")


def test_legend_explains_each_kind_and_mark_once() -> None:
    root = parse(forest().svg())
    assert texts(root, "legend") == ["layer", "container", "new", "gone", "shared", "current"]
    explained = every(root, "polygon", "node")[:2]
    assert [shape.get("fill") for shape in explained] == [COLOURS["layer"], COLOURS["container"]]
    first_row = middle(shapes(root)[0])[1]
    assert all(50 < middle(shape)[1] < first_row - 20 for shape in explained), "above the rows"
    assert texts(root, "sign")[:4] == ["+", "−", "=", "▶"]
    assert not texts(parse(Tree([Node("a", "A")]).svg()), "legend")


def test_marks_and_links_differ_in_style_too() -> None:
    style = next(parse(forest().svg()).iter(SVG + "style")).text or ""
    for rule in (
        ".node.new,",
        ".label.new,",
        ".label.gone{text-decoration:line-through}",
        ".node.gone{fill-opacity:.25}",
    ):
        assert f".lk-tree {rule}" in style
    assert re.search(r"\.link,[^{]*\{[^}]*stroke-dasharray", style)
    assert "--jp-content-font-color1,currentColor" in style
    selectors = re.findall(r"(?:^|[},])\s*([.@a-z][^{},;:]*)(?=[,{])", style)
    assert all(selector.startswith(".lk-tree ") for selector in selectors)


def test_links_are_dashed_arrows_that_touch_no_shape() -> None:
    root = parse(machines().svg())
    centres = dict(zip([node.key for node in MACHINES], map(middle, shapes(root)), strict=True))
    [link], [arrow] = every(root, "path", "link"), every(root, "path", "arrow")
    start, end = ends(link)
    assert near((start[0] - 12, start[1]), centres["clone"])
    assert near((end[0] - 12, end[1]), centres["s1"])
    assert arrow.get("d", "").startswith(f"M{end[0] - 2:g} {end[1]:g}")
    lane = float(re.findall(r"Q(\S+)", link.get("d", ""))[0])
    label = number(every(root, "text", "label")[0], "x")
    assert max(x for x, _ in centres.values()) + 10 < lane < label
    assert texts(root, "to") == ["⇢ linked clone: installed"]


def test_a_screen_reader_gets_a_title_and_a_description() -> None:
    root = parse(forest().svg())
    assert root.get("role") == "img"
    assert [element.tag for element in root[:2]] == [SVG + "title", SVG + "desc"]
    assert [element.text for element in root[:2]] == ["Images", forest().description()]
    assert parse(machines().svg())[0].text == "Tree"


def test_long_texts_are_cut_in_the_middle_and_whole_in_the_tooltip() -> None:
    label = "RUN apt-get update && " + "x" * 100 + " && rm -rf /var"
    names = tuple(f"reg/name:{i}" for i in range(9))
    root = parse(Tree([Node("a", label, names=names)]).svg())
    [text] = every(root, "text", "label")
    assert re.fullmatch("RUN apt-get update && .*….*rm -rf /var", own_text(text))
    assert len(own_text(text)) <= LABEL
    assert text[0].tag == SVG + "title" and text[0].text == label
    assert texts(root, "name") == ["reg/name:0", "reg/name:1", "+7"]
    assert every(root, "text", "name")[-1][0].text == ", ".join(names[2:])


def test_a_picture_of_nothing() -> None:
    assert not shapes(parse(Tree([]).svg()))


@given(forests(TEXT), TEXT)
def test_any_text_is_drawn_safely(nodes: list[Node], title: str) -> None:
    tree = Tree(nodes, title)
    root = parse(tree.svg())  # well-formed XML, and encodes as UTF-8
    labels = [shorten(clean(row.node.label), LABEL) for row in tree.layout.rows]
    assert texts(root, "label") == labels
    for text in root.iter(SVG + "text"):
        assert "\n" not in own_text(text)
    pills = every(root, "rect", "name")
    for pill in pills:
        assert number(pill, "x") + number(pill, "width") <= number(root, "width")
    for left, right in pairwise(pills):
        if left.get("y") == right.get("y"):
            assert number(left, "x") + number(left, "width") <= number(right, "x"), "pills overlap"


def test_a_chain_of_ten_thousand() -> None:
    assert Tree(chain(10_000)).svg().count('class="edge"') == 9_999
