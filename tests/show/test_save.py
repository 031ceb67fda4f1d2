"""A tree as a file: all that its SVG says is in the PNG and the PDF, too."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from samples.trees import FOREST, chain, forest

from labkit.errors import LabError
from labkit.show.look import SHAPES
from labkit.show.save import save
from labkit.show.trees import Node, Tree

pytest.importorskip("matplotlib")
from matplotlib.image import imread

from labkit.show.plot import plot


def handout() -> Tree:
    return Tree([*FOREST, Node("v", "$HOME $x$", "hello")], "T", [("hello", "base", "copy of")])


def test_axes_show_what_data_say() -> None:
    tree = handout()
    page, nodes = plot(tree.scene), tree.data()["nodes"]
    [axes] = page.axes
    page.canvas.draw()
    shown: dict[str, list[str]] = {}
    for text in axes.texts:
        assert not text.get_parse_math(), "$HOME is no formula"
        shown.setdefault(text.get_gid(), []).append(text.get_text())
    marks = [node["mark"] for node in nodes if node["mark"]]
    assert shown == {
        "title": ["T"],
        "legend": ["layer", "container", "new", "gone", "shared", "current"],
        "sign": ["+", "−", "=", "▶", "+", "=", "−", "▶"],
        "label": [node["label"] for node in nodes],
        "note": [node["note"] for node in nodes if node["note"]],
        "name": [name for node in nodes for name in node["names"]],
        "to": ["⇢ copy of: ADD rootfs.tar /"],
    }
    kinds = [patch for patch in axes.patches if patch.get_gid() in SHAPES][-len(nodes) :]
    assert [patch.get_gid() for patch in kinds] == [node["kind"] for node in nodes]
    faint = [patch.get_facecolor()[3] < 1 for patch in kinds]
    assert faint == [node["mark"] == "gone" for node in nodes]
    drawn = Counter(artist.get_gid() for artist in [*axes.lines, *axes.patches])
    assert drawn["edge"] == len(tree.data()["edges"])
    assert drawn["link"] == drawn["arrow"] == drawn["to"] == 1
    assert drawn["band"] == len(marks)


def test_axes_stand_where_svg_stands() -> None:
    tree = handout()
    [axes] = plot(tree.scene).axes
    svg = str(tree.svg())
    places = [(text.get_gid(), *text.get_position()) for text in axes.texts]
    assert len(places) == svg.count("<text ")
    for role, x, y in places:
        assert re.search(f'<text class="{role}[ a-z]*" x="{x:g}" y="{y:g}">', svg)
    for line in axes.lines:
        (x, y), *_, (x2, y2) = line.get_xydata()
        assert re.search(f'class="{line.get_gid()}" d="M{x:g} {y:g}.*L{x2:g} {y2:g}"', svg)


@pytest.mark.parametrize("ending", [".svg", ".png", ".pdf", ".SVG"])
def test_a_handout_is_the_same_each_time_it_is_saved(tmp_path: Path, ending: str) -> None:
    files = [tmp_path / f"{name}{ending}" for name in ("one", "two")]
    for file in files:
        save(handout(), file)
    assert files[0].read_bytes() == files[1].read_bytes() != b""


def test_an_svg_is_the_picture_of_the_notebook(tmp_path: Path) -> None:
    save(forest(), tmp_path / "forest.svg")
    assert (tmp_path / "forest.svg").read_text("utf-8") == forest().svg()


def test_a_png_has_two_dots_a_px(tmp_path: Path) -> None:
    save(forest(), tmp_path / "forest.png")
    height, width, _colours = imread(tmp_path / "forest.png").shape
    scene = forest().scene
    assert abs(width - 2 * scene.width) <= 1 and abs(height - 2 * scene.height) <= 1


def unpacked(pdf: bytes) -> bytes:
    """The streams of a PDF as they were before compression: ISO 32000-1, 7.3.8."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.S)
    return b"\n".join(zlib.decompressobj().decompress(stream) for stream in streams)


def test_a_pdf_can_be_searched(tmp_path: Path) -> None:
    """Its fonts are TrueType, and know which letters their glyphs are."""
    save(forest(), tmp_path / "forest.pdf")
    pdf = (tmp_path / "forest.pdf").read_bytes()
    assert b"/CIDFontType2" in pdf and b"/Type3" not in pdf
    assert pdf.count(b"/ToUnicode") >= 2
    assert b"beginbfrange" in unpacked(pdf)


def test_letters_that_no_font_has_do_no_harm(tmp_path: Path, recwarn: Any) -> None:
    save(Tree([Node("a", "漢字 \U0001f433")]), tmp_path / "forest.pdf")
    assert not recwarn.list


def test_a_huge_tree_fits_on_a_page() -> None:
    page = plot(Tree(chain(800)).scene)
    assert max(page.get_size_inches()) <= 200


@pytest.mark.parametrize("ending", [".svg", ".png", ".pdf"])
@pytest.mark.parametrize("place", ["folder", "missing/forest", "file/forest"])
def test_where_nothing_can_be_written(tmp_path: Path, place: str, ending: str) -> None:
    (tmp_path / f"folder{ending}").mkdir()
    (tmp_path / "file").write_text("")
    path = tmp_path / f"{place}{ending}"
    with pytest.raises(LabError, match=r"cannot be written: .*\. Name a file in a folder"):
        save(forest(), path)


@pytest.mark.parametrize("name", ["forest", "forest.gif", "pdf", "forest\n", f"{'x' * 999}.tif"])
def test_another_ending_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError) as error:
        save(forest(), tmp_path / name)
    line = str(error.value)
    assert line.endswith(
        "ends in none of .svg, .png, .pdf: choose one of them, such as forest.pdf."
    )
    assert "\n" not in line and len(line) < 300
    assert not any(tmp_path.iterdir())
