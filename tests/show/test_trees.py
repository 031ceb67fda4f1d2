"""A tree in text: read from the art alone, and compared with the nodes it was given."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from samples.trees import TEXT, Tree, chain, forest, forests, machines

from labkit.show.layout import Node

SHAPES = "◆■□▣▷●▬"


def read_text(text: str) -> list[tuple[int, int]]:
    """The edges of a tree without title or marks, as (row of parent, row of child)."""
    newest: dict[int, int] = {}
    edges = []
    row = 0
    for line in text.split("\n"):
        if not line:  # a new tree
            newest = {}
            continue
        place = next(i for i, character in enumerate(line) if character in SHAPES)
        assert place % 2 == 0
        column = place // 2
        bends = column > 0 and line[place - 2] in "├└"
        if bends or newest:
            edges.append((newest[column - 1 if bends else column], row))
        newest[column] = row
        row += 1
    return edges


def check_text(nodes: list[Node]) -> None:
    tree = Tree([Node(node.key, node.label, node.parent) for node in nodes])
    keys = [row.node.key for row in tree.layout.rows]
    edges = {(keys[parent], keys[child]) for parent, child in read_text(str(tree))}
    assert edges == {(node.parent, node.key) for node in nodes if node.parent is not None}


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


def test_children_are_drawn_in_the_order_given_even_before_their_parent() -> None:
    tree = Tree([Node("c", "c", "a"), Node("b", "b", "a"), Node("a", "a")])
    assert str(tree) == "■    a\n├─■  c\n└─■  b"


def test_right_to_left_text_is_isolated() -> None:
    assert str(Tree([Node("a", "\u05e9\u05dc", note="1 B")])) == "■  \u2068\u05e9\u05dc\u2069  1 B"


@given(forests().filter(bool))
def test_text_of_any_forest(nodes: list[Node]) -> None:
    check_text(nodes)


def test_text_of_a_deep_forest() -> None:
    nodes = chain(2_000)
    check_text(nodes + [Node(f"side {node.key}", "", node.key) for node in nodes])


@given(forests(TEXT), TEXT)
def test_any_text_is_one_line_a_row(nodes: list[Node], title: str) -> None:
    tree = Tree(nodes, title)
    str(tree).encode("utf-8")
    assert len(str(tree).split("\n")) == len(str(tree).splitlines())


def test_empty() -> None:
    assert str(Tree([])) == "(empty)"
    assert str(Tree([], "Images")) == "Images\n(empty)"


@pytest.mark.parametrize(
    "tree, sentences",
    [
        (
            forest(),
            "A forest of 2 trees: 7 layers, 1 container. "
            "Names: debian:12, httpd:2.4, httpd:latest, mine:1, hello-world. New: echo hello. "
            "Gone: COPY . /app. Shared: RUN apt-get install python3. Current: COPY hello /.",
        ),
        (
            machines(),
            "A forest of 2 trees: 1 image, 2 machines, 2 snapshots, 1 disk. "
            "Names: current state. Current: diff.vdi. Links: copy to installed.",
        ),
        (
            Tree([Node(f"{i}", f"{{{i}}}", mark="new") for i in range(9)]),
            "A forest of 9 trees: 9 layers. New: {0}, {1}, {2}, {3}, {4}, {5} and 3 more.",
        ),
        (Tree([]), "A forest of 0 trees: no nodes."),
    ],
)
def test_a_picture_is_told_to_those_who_do_not_see_it(tree: Tree, sentences: str) -> None:
    assert tree.description() == sentences


def test_what_a_notebook_gets() -> None:
    bundle = forest()._repr_mimebundle_()
    assert bundle["text/plain"] == str(forest())
    assert forest().svg() in bundle["text/html"]
    assert "max-height" not in bundle["text/html"]
    assert "max-height" in Tree(chain(60)).html()


def test_same_bytes_in_every_process_and_no_matplotlib() -> None:
    code = (
        "import sys; from samples.trees import forest, machines; "
        "assert 'matplotlib' not in sys.modules; "
        "print([ascii(f'{t.svg()}{t}') for t in (forest(), machines())])"
    )
    path = os.pathsep.join(sys.path)
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1 and "polygon" in runs.pop()
