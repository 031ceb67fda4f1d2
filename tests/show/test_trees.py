"""Trees: what is drawn is compared with expectations worked out here, never with the module's own geometry."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import LabError
from labkit.show.text import cells, clean, shorten
from labkit.show.trees import LABEL, Node, Tree

SVG = "{http://www.w3.org/2000/svg}"
PROFILE = settings(max_examples=60, deadline=None, derandomize=True)

# The house look, written down a second time on purpose: a changed colour, shape or sign must turn a test red.
COLOURS = {
    "image": "#0072B2",
    "layer": "#56B4E9",
    "container": "#E69F00",
    "machine": "#CC79A7",
    "snapshot": "#009E73",
    "disk": "#F0E442",
}
CORNERS = {"image": 5, "layer": 4, "container": 4, "machine": 14, "snapshot": 21, "disk": 28}
GLYPHS = {
    "image": "◆",
    "layer": "■",
    "container": "□",
    "machine": "▣",
    "snapshot": "●",
    "disk": "▬",
}
TINTS = {"new": "#009E73", "gone": "#D55E00", "shared": "#CC79A7", "current": "#E69F00"}
SIGNS = {"new": "+", "gone": "−", "shared": "=", "current": "▶"}
DASHES = {"gone": "2 2", "shared": "1 2"}

FOREST = [
    Node("base", "ADD rootfs.tar /", None, "74.8 MB", names=("debian:12",)),
    Node("env", "ENV A=1", "base", "0 B"),
    Node("run", "RUN apt-get install httpd", "env", "4.9 MB", names=("httpd:2.4", "httpd:latest")),
    Node("web", "web", "run", "2 B", "container"),
    Node("mine", "echo hello", "run", "46 B", names=("mine:1",), mark="new"),
    Node("py", "RUN apt-get install python3", "base", "41.2 MB", mark="shared"),
    Node("app", "COPY . /app", "py", "12 kB", mark="gone"),
    Node("hello", "COPY hello /", None, "13.3 kB", names=("hello-world",), mark="current"),
]
MACHINES = [
    Node("vm", "web", None, "", "machine"),
    Node("s1", "installed", "vm", "", "snapshot"),
    Node("s2", "works", "s1", "", "snapshot"),
    Node("now", "diff.vdi", "s2", "", "disk", ("current state",), "current"),
    Node("clone", "copy", None, "", "machine"),
    Node("iso", "httpd", "clone", "", "image"),
]


def forest() -> Tree:
    return Tree(FOREST, "Images")


def machines() -> Tree:
    return Tree(MACHINES, links=[("clone", "s1", "linked clone")])


# --- pictures read back ---------------------------------------------------------------------------------------


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg.encode("utf-8"))


def classes(element: ET.Element) -> list[str]:
    return element.get("class", "").split()


def every(root: ET.Element, tag: str, cls: str) -> list[ET.Element]:
    return [element for element in root.iter(SVG + tag) if cls in classes(element)]


def own_text(element: ET.Element) -> str:
    """The text shown, without the tooltip."""
    return (element.text or "") + "".join(child.tail or "" for child in element)


def spot(element: ET.Element) -> tuple[float, float]:
    """The centre of a polygon's bounding box."""
    corners = [tuple(map(float, pair.split(","))) for pair in element.get("points", "").split()]
    xs, ys = zip(*corners, strict=True)
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def shapes(root: ET.Element) -> list[ET.Element]:
    """The shapes of the rows: the last ones; those before them are the legend."""
    found = every(root, "polygon", "node")
    return found[len(found) - len(every(root, "text", "label")) :]


def ends(path: ET.Element) -> tuple[tuple[float, float], tuple[float, float]]:
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", path.get("d", ""))]
    return (numbers[0], numbers[1]), (numbers[-2], numbers[-1])


def near(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return abs(a[0] - b[0]) < 1 and abs(a[1] - b[1]) < 1


def check_picture(nodes: list[Node], svg: str) -> None:
    """Everything in the picture follows from the nodes: edges, colours, shapes, signs, dashes, texts."""
    root, given_nodes = parse(svg), {node.label: node for node in nodes}
    drawn = [given_nodes[own_text(label)] for label in every(root, "text", "label")]
    assert Counter(drawn) == Counter(nodes)  # each once; labels are unique in the callers' trees
    centres = {node.key: spot(shape) for node, shape in zip(drawn, shapes(root), strict=True)}
    edges = set()
    for path in every(root, "path", "edge"):
        (x, y), (x2, y2) = ends(path)
        parent = next(key for key, centre in centres.items() if near(centre, (x, y)))
        to = x2 if x2 == x else x2 + 7
        edges.add((parent, next(key for key, centre in centres.items() if near(centre, (to, y2)))))
        bends = re.findall(r"Q(\S+) (\S+)", path.get("d", ""))
        assert bends == [(f"{x:g}", f"{y2:g}")] * (x2 != x), (
            "one bend: below the parent, left of the child"
        )
        assert not [
            key for key, (cx, cy) in centres.items() if abs(cx - x) < 1 and y + 1 < cy < y2 - 1
        ], "runs through"
    assert edges == {(node.parent, node.key) for node in nodes if node.parent is not None}
    assert len(every(root, "path", "edge")) == len(edges)

    signs = {
        round(float(sign.get("y", ""))): own_text(sign) for sign in every(root, "text", "sign")
    }
    bands = {float(band.get("y", "")) + 13: band for band in every(root, "rect", "band")}
    assert len(bands) == sum(bool(node.mark) for node in nodes)
    for node, shape, label in zip(drawn, shapes(root), every(root, "text", "label"), strict=True):
        assert shape.get("fill") == COLOURS[node.kind]
        assert len(shape.get("points", "").split()) == CORNERS[node.kind]
        assert shape.get("stroke-dasharray") == DASHES.get(
            node.mark, "3 2" if node.kind == "container" else None
        )
        assert classes(shape) == ["node", node.kind, *filter(None, [node.mark])]
        assert classes(label) == ["label", *filter(None, [node.mark])]
        _, y = centres[node.key]
        assert abs(float(label.get("y", "")) - y - 4.5) < 1, "the text stands beside its shape"
        if node.mark:
            assert signs[round(float(label.get("y", "")))] == SIGNS[node.mark]
            band = next(band for middle, band in bands.items() if abs(middle - y) < 1)
            assert band.get("fill") == TINTS[node.mark]


def read_text(text: str) -> list[tuple[int, int]]:
    """The edges of a text tree without title or marks, as (row of parent, row of child): read from the art alone."""
    newest: dict[int, int] = {}
    edges, row = [], 0
    for line in text.split("\n"):
        if not line:  # a new tree
            newest = {}
            continue
        column, glyph = next((i, c) for i, c in enumerate(line) if c in GLYPHS.values())
        assert column % 2 == 0 and glyph
        bend = column >= 2 and line[column - 2] in "├└"
        if bend or newest:
            edges.append((newest[column // 2 - bend], row))
        newest[column // 2] = row
        row += 1
    return edges


# --- small trees, in full -------------------------------------------------------------------------------------


def test_text() -> None:
    assert (
        str(forest())
        == """\
Images
■ layer   □ container   + new   − gone   = shared   ▶ current

  ■      ADD rootfs.tar /             74.8 MB  [debian:12]
  ├─■    ENV A=1                          0 B
  │ ■    RUN apt-get install httpd     4.9 MB  [httpd:2.4]  [httpd:latest]
  │ ├─□  web                              2 B
+ │ └─■  echo hello                      46 B  [mine:1]
= └─■    RUN apt-get install python3  41.2 MB
−   ■    COPY . /app                    12 kB

▶ ■      COPY hello /                 13.3 kB  [hello-world]"""
    )
    assert repr(forest()) == str(forest())


def test_text_with_links_and_kinds() -> None:
    assert (
        str(machines())
        == """\
◆ image   ▣ machine   ● snapshot   ▬ disk   ▶ current

  ▣  web
  ●  installed
  ●  works
▶ ▬  diff.vdi   [current state]

  ▣  copy       ⇢ linked clone: installed
  ◆  httpd"""
    )


def test_data() -> None:
    data = json.loads(json.dumps(forest().data()))
    assert list(data) == ["title", "nodes", "edges", "links"]
    assert [(node["key"], node["x"], node["y"]) for node in data["nodes"]] == [
        ("base", 0, 0),
        ("env", 1, 1),
        ("run", 1, 2),
        ("web", 2, 3),
        ("mine", 2, 4),
        ("py", 1, 5),
        ("app", 1, 6),
        ("hello", 0, 7),
    ]
    assert data["edges"] == [
        {"from": a, "to": b}
        for a, b in [
            ("base", "env"),
            ("env", "run"),
            ("run", "web"),
            ("run", "mine"),
            ("base", "py"),
            ("py", "app"),
        ]
    ]
    assert data["nodes"][4] == {
        "key": "mine",
        "label": "echo hello",
        "parent": "run",
        "note": "46 B",
        "kind": "layer",
        "names": ["mine:1"],
        "mark": "new",
        "x": 2,
        "y": 4,
    }
    assert machines().data()["links"] == [{"from": "clone", "to": "s1", "label": "linked clone"}]


def test_children_are_drawn_in_the_order_given_even_before_their_parent() -> None:
    tree = Tree([Node("c", "c", "a"), Node("b", "b", "a"), Node("a", "a")])
    assert [node["key"] for node in tree.data()["nodes"]] == ["a", "c", "b"]
    assert str(tree) == "■    a\n├─■  c\n└─■  b"


@pytest.mark.parametrize("nodes", [FOREST, MACHINES])
def test_picture(nodes: list[Node]) -> None:
    check_picture(nodes, Tree(nodes, "T", [(nodes[-1].key, nodes[0].key, "x")]).svg())


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
    svg = Tree(FOREST).svg()
    head, rows = svg.split("</style>")
    changed = head + "</style>" + re.sub(old, new, rows)
    assert changed != svg
    with pytest.raises((AssertionError, StopIteration, KeyError)):
        check_picture(FOREST, changed)


def test_legend_explains_each_kind_and_mark_once() -> None:
    root = parse(forest().svg())
    assert [own_text(word) for word in every(root, "text", "legend")] == [
        "layer",
        "container",
        "new",
        "gone",
        "shared",
        "current",
    ]
    explained = every(root, "polygon", "node")[:2]
    assert all(50 < spot(shape)[1] < spot(shapes(root)[0])[1] - 20 for shape in explained), (
        "above the first row"
    )
    assert [shape.get("fill") for shape in explained] == [COLOURS["layer"], COLOURS["container"]]
    assert [own_text(sign) for sign in every(root, "text", "sign")][:4] == ["+", "−", "=", "▶"]
    assert not every(parse(Tree([Node("a", "A")]).svg()), "text", "legend")


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
    assert all(
        rule.startswith(".lk-tree ")
        for rule in re.findall(r"(?:^|[},])\s*([.@a-z][^{},;:]*)(?=[,{])", style)
    )


def test_links_are_dashed_arrows_that_touch_no_shape() -> None:
    root = parse(machines().svg())
    centres = dict(zip([node.key for node in MACHINES], map(spot, shapes(root)), strict=True))
    [link], [arrow] = every(root, "path", "link"), every(root, "path", "arrow")
    start, end = ends(link)
    assert near((start[0] - 12, start[1]), centres["clone"]) and near(
        (end[0] - 12, end[1]), centres["s1"]
    )
    assert arrow.get("d", "").startswith(f"M{end[0] - 2:g} {end[1]:g}")
    lane = float(re.findall(r"Q(\S+)", link.get("d", ""))[0])
    label = float(every(root, "text", "label")[0].get("x", ""))
    assert max(x for x, _ in centres.values()) + 10 < lane < label
    assert [own_text(pill) for pill in every(root, "text", "to")] == ["⇢ linked clone: installed"]


def test_alt_text_says_what_is_there_and_what_is_new() -> None:
    root = parse(forest().svg())
    assert root.get("role") == "img"
    assert [element.tag for element in root[:2]] == [SVG + "title", SVG + "desc"]
    assert root[0].text == "Images"
    assert root[1].text == (
        "A forest of 2 trees: 7 layers, 1 container. Names: debian:12, httpd:2.4, httpd:latest, mine:1, hello-world. "
        "New: echo hello. Gone: COPY . /app. Shared: RUN apt-get install python3. Current: COPY hello /."
    )
    assert "Links: copy to installed." in machines().svg()
    assert "A forest of 0 trees: no nodes." in Tree([]).svg()


def test_long_texts_are_cut_in_the_middle_and_whole_in_the_tooltip() -> None:
    label = "RUN apt-get update && " + "x" * 100 + " && rm -rf /var"
    names = tuple(f"reg/name:{i}" for i in range(9))
    root = parse(Tree([Node("a", label, names=names)]).svg())
    [text] = every(root, "text", "label")
    assert own_text(text).startswith("RUN apt-get update && ") and own_text(text).endswith(
        "rm -rf /var"
    )
    assert "…" in own_text(text) and len(own_text(text)) <= LABEL
    assert text[0].tag == SVG + "title" and text[0].text == label
    pills = every(root, "text", "name")
    assert [own_text(pill) for pill in pills] == ["reg/name:0", "reg/name:1", "+7"]
    assert pills[-1][0].text == ", ".join(names[2:])


def test_empty() -> None:
    assert str(Tree([])) == "(empty)"
    assert str(Tree([], "Images")) == "Images\n(empty)"
    assert Tree([]).data() == {"title": "", "nodes": [], "edges": [], "links": []}
    assert not shapes(parse(Tree([]).svg()))


@pytest.mark.parametrize(
    "nodes, links, message",
    [
        ([Node("a", "A"), Node("a", "B")], [], "Two nodes have the key 'a'"),
        ([Node("a", "A", "b\n")], [], "Node 'a' has a parent 'b' that is not there"),
        (
            [Node("r", "R"), Node("a", "A", "b"), Node("b", "B", "a")],
            [],
            "Node 'a' hangs in a circle of parents",
        ),
        ([Node("a", "A", "a")], [], "Node 'a' hangs in a circle of parents"),
        ([Node("a", "A", kind="lair")], [], "Node 'a' has kind 'lair'"),
        ([Node("a", "A", mark="old")], [], "mark 'old': use a kind of image"),
        ([Node("a", "A")], [("a", "b", "")], "Link 'a' to 'b' must join two nodes"),
        ([Node("a", "A")], [("a", "a", "")], "Link 'a' to 'a' must join two nodes"),
        ([Node("k" * 10_000, "A"), Node("k" * 10_000, "B")], [], "Two nodes have the key 'kkk"),
    ],
)
def test_errors_are_one_line(
    nodes: list[Node], links: list[tuple[str, str, str]], message: str
) -> None:
    with pytest.raises(LabError) as error:
        Tree(nodes, links=links)
    assert message in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 250


# --- any forest -----------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=()), max_size=70)  # surrogates and controls too


@st.composite
def forests(draw: st.DrawFn, text: st.SearchStrategy[str] | None = None) -> list[Node]:
    """Nodes in any order, so that a child may come before its parent."""
    nodes: list[Node] = []
    for i in range(draw(st.integers(0, 30))):
        parent = draw(st.sampled_from([None, *(node.key for node in nodes[-4:])]))
        label, note, names = f"label {i}", f"{i} B", [f"n{i}"] * draw(st.integers(0, 2))
        if text is not None:
            label, note, names = draw(text), draw(text), draw(st.lists(text, max_size=3))
        nodes.append(
            Node(
                f"k{i}",
                label,
                parent,
                note,
                draw(st.sampled_from(sorted(COLOURS))),
                tuple(names),
                draw(st.sampled_from(["", *SIGNS])),
            )
        )
    return draw(st.permutations(nodes))


def columns(nodes: list[Node]) -> dict[str, int]:
    """The rail columns by definition: an only child keeps its parent's, siblings are one further right."""
    by_key = {node.key: node for node in nodes}
    families = Counter(node.parent for node in nodes)

    def column(node: Node) -> int:
        return (
            0 if node.parent is None else column(by_key[node.parent]) + (families[node.parent] > 1)
        )

    return {node.key: column(node) for node in nodes}


@PROFILE
@given(forests())
def test_layout_of_any_forest(nodes: list[Node]) -> None:
    data = Tree(nodes).data()
    row = {node["key"]: node["y"] for node in data["nodes"]}
    assert Counter(node["key"] for node in data["nodes"]) == Counter(node.key for node in nodes)
    assert [node["y"] for node in data["nodes"]] == list(range(len(nodes)))
    assert {(e["from"], e["to"]) for e in data["edges"]} == {
        (n.parent, n.key) for n in nodes if n.parent is not None
    }
    assert all(row[edge["from"]] < row[edge["to"]] for edge in data["edges"])
    expected = columns(nodes)
    if max(expected.values(), default=0) <= 8:
        assert {node["key"]: node["x"] for node in data["nodes"]} == expected
        for parent in {node.parent for node in nodes}:  # siblings keep the order they were given in
            siblings = [row[node.key] for node in nodes if node.parent == parent]
            assert siblings == sorted(siblings)


@PROFILE
@given(forests())
def test_picture_of_any_forest(nodes: list[Node]) -> None:
    tree = Tree(nodes)
    check_picture(nodes, tree.svg())
    boxes = sorted(
        [float(pair.split(",")[1]) for pair in shape.get("points", "").split()]
        for shape in shapes(parse(tree.svg()))
    )
    spans = sorted((min(ys), max(ys)) for ys in boxes)
    assert all(above[1] < below[0] for above, below in pairwise(spans)), "shapes overlap"
    heights = [spot(shape)[1] for shape in shapes(parse(tree.svg()))]
    for (above, below), node in zip(pairwise(heights), tree.data()["nodes"][1:], strict=True):
        assert abs(below - above - (28 if node["parent"] is not None else 40)) < 1, (
            "only trees stand apart"
        )


@PROFILE
@given(forests())
def test_text_of_any_forest(nodes: list[Node]) -> None:
    plain = [Node(node.key, node.label, node.parent, kind="layer") for node in nodes]
    tree = Tree(plain)
    keys = [node["key"] for node in tree.data()["nodes"]]
    if keys:
        assert {(keys[a], keys[b]) for a, b in read_text(str(tree))} == {
            (node.parent, node.key) for node in nodes if node.parent is not None
        }


@PROFILE
@given(forests(TEXT), TEXT)
def test_any_text_is_drawn_safely(nodes: list[Node], title: str) -> None:
    tree = Tree(nodes, title)
    root = parse(tree.svg())  # well-formed XML, and encodes as UTF-8
    str(tree).encode("utf-8")
    json.dumps(tree.data()).encode("utf-8")
    by_key = {node.key: node for node in nodes}
    order = [by_key[node["key"]] for node in tree.data()["nodes"]]
    assert [own_text(text) for text in every(root, "text", "label")] == [
        shorten(clean(n.label), LABEL) for n in order
    ]
    assert len(str(tree).split("\n")) == len(str(tree).splitlines())
    for text in root.iter(SVG + "text"):
        assert "\n" not in own_text(text)
    edge = float(root.get("width", "0"))
    for pills in every(root, "rect", "name"):
        assert float(pills.get("x", "")) + float(pills.get("width", "")) <= edge
    rows: dict[str, list[tuple[float, float]]] = {}
    for pill in every(root, "rect", "name"):
        x = float(pill.get("x", ""))
        rows.setdefault(pill.get("y", ""), []).append((x, x + float(pill.get("width", ""))))
    assert all(a[1] <= b[0] for row in rows.values() for a, b in pairwise(row)), "pills overlap"


@PROFILE
@given(st.text(st.characters(exclude_categories=())), st.integers(1, 60))
def test_shorten_keeps_the_limit(text: str, limit: int) -> None:
    line = clean(text)
    short = shorten(line, limit)
    assert cells(short) <= limit
    assert short == line if cells(line) <= limit else "…" in short


@pytest.mark.parametrize(
    "text, width",
    [("abc", 3), ("漢字", 4), ("e\u0301", 1), ("\u05e9\u05dc", 2), ("🐳", 2), ("", 0)],
)
def test_cells(text: str, width: int) -> None:
    assert cells(text) == width


def test_clean() -> None:
    assert clean(" a\tb\nc \x1b[31m\udcff\u202e\uffff ") == "a b c �[31m���"


def test_right_to_left_text_is_isolated() -> None:
    assert str(Tree([Node("a", "\u05e9\u05dc", note="1 B")])) == "■  \u2068\u05e9\u05dc\u2069  1 B"


# --- large, deep, and the same everywhere ---------------------------------------------------------------------


def test_a_chain_of_ten_thousand() -> None:
    chain = [Node(str(i), f"layer {i}", str(i - 1) if i else None) for i in range(10_000)]
    tree = Tree(reversed(chain))
    data = tree.data()
    assert [node["key"] for node in data["nodes"]] == [node.key for node in chain]
    assert {node["x"] for node in data["nodes"]} == {0}
    assert len(str(tree).splitlines()) == 10_000
    assert tree.svg().count('class="edge"') == 9_999


@pytest.mark.parametrize("chain_first", [True, False])
def test_a_side_branch_at_every_node_keeps_the_rail_narrow(chain_first: bool) -> None:
    nodes = [Node("0", "0")]
    for i in range(1, 2_000):
        pair = [Node(str(i), f"{i}", str(i - 1)), Node(f"c{i}", f"c{i}", str(i - 1))]
        nodes += pair if chain_first else pair[::-1]
    tree = Tree(nodes)
    keys = [node["key"] for node in tree.data()["nodes"]]
    assert max(node["x"] for node in tree.data()["nodes"]) <= 9
    assert {(keys[a], keys[b]) for a, b in read_text(str(tree))} == {
        (n.parent, n.key) for n in nodes if n.parent
    }


def test_a_bushy_tree_keeps_the_rail_narrow() -> None:
    nodes = [
        Node(str(i), str(i), str((i - 1) // 2) if i else None) for i in range(4_095)
    ]  # depth 11
    assert max(node["x"] for node in Tree(nodes).data()["nodes"]) <= 9 + 12


def test_mimebundle() -> None:
    bundle = forest()._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"] == str(forest())
    assert forest().svg() in bundle["text/html"] and "max-height" not in bundle["text/html"]
    long = Tree([Node(str(i), str(i)) for i in range(60)])._repr_mimebundle_()
    assert "max-height" in long["text/html"]


def test_same_bytes_in_every_process_and_no_matplotlib() -> None:
    code = (
        "import sys; from labkit.show.trees import Node, Tree; t = Tree([Node('a', 'A', mark='new', kind='disk'), "
        "Node('b', 'B', 'a', mark='gone')], 'T', [('a', 'b', 'x')]); assert 'matplotlib' not in sys.modules; "
        "print(ascii(t.svg() + str(t) + str(t.data())))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1 and "polygon" in runs.pop()


# --- matplotlib -----------------------------------------------------------------------------------------------


def test_axes_show_what_data_say() -> None:
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.colors import to_hex

    tree = Tree([*FOREST, Node("v", "$HOME $x$", "hello")], "T", [("hello", "base", "copy of")])
    ax, data = tree.axes(), tree.data()
    ax.figure.canvas.draw()
    shown: dict[str, list[str]] = {}
    for text in ax.texts:
        shown.setdefault(text.get_gid(), []).append(text.get_text())
    marks = [node["mark"] for node in data["nodes"] if node["mark"]]
    assert not any(text.get_parse_math() for text in ax.texts), "$HOME is no formula"
    assert shown["title"] == ["T"]
    assert shown["label"] == [node["label"] for node in data["nodes"]]
    assert shown["note"] == [node["note"] for node in data["nodes"] if node["note"]]
    assert shown["name"] == [name for node in data["nodes"] for name in node["names"]]
    assert shown["to"] == ["⇢ copy of: ADD rootfs.tar /"]
    assert shown["sign"][-len(marks) :] == [SIGNS[mark] for mark in marks]
    assert shown["legend"] == ["layer", "container", "new", "gone", "shared", "current"]

    kinds = [patch for patch in ax.patches if patch.get_gid() in COLOURS][-len(data["nodes"]) :]
    assert [patch.get_gid() for patch in kinds] == [node["kind"] for node in data["nodes"]]
    assert [to_hex(patch.get_facecolor()).upper() for patch in kinds] == [
        COLOURS[n["kind"]] for n in data["nodes"]
    ]
    assert [patch.get_facecolor()[3] < 1 for patch in kinds] == [
        n["mark"] == "gone" for n in data["nodes"]
    ]
    middle = {}
    for node, patch in zip(data["nodes"], kinds, strict=True):
        box = patch.get_path().get_extents()
        middle[((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)] = node["key"]
    lines = [line for line in ax.lines if line.get_gid() == "edge"]
    edges = set()
    for line in lines:
        (x, y), (x2, y2) = line.get_xydata()[0], line.get_xydata()[-1]
        start = next(key for spot, key in middle.items() if near(spot, (x, y)))
        edges.add(
            (
                start,
                next(key for spot, key in middle.items() if near(spot, (x2 + 7 * (x2 != x), y2))),
            )
        )
    assert len(lines) == len(data["edges"]) and edges == {
        (edge["from"], edge["to"]) for edge in data["edges"]
    }
    assert len([line for line in ax.lines if line.get_gid() == "link"]) == 1
    assert len([patch for patch in ax.patches if patch.get_gid() == "band"]) == len(marks)
    plt.close(ax.figure)


def test_axes_given_are_used_and_huge_trees_still_fit() -> None:
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    assert forest().axes(ax) is ax and len(ax.texts) > len(FOREST)
    plt.close(figure)
    huge = Tree([Node(str(i), str(i), str(i - 1) if i else None) for i in range(3_000)]).axes()
    assert max(huge.figure.get_size_inches()) <= 600
    plt.close(huge.figure)
