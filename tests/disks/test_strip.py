"""The figure of a disk as text and as a picture."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from disks.drawn import MIB, SVG, boxes, check_picture, disk, lines, parse, vdi

from labkit.disks import Region
from labkit.disks.strip import StripFigure

# The house look, written down a second time on purpose: a changed colour must turn a test red.
COLOURS = {
    "data": "#0072B2",
    "compressed": "#56B4E9",
    "header": "#CC79A7",
    "map": "#E69F00",
    "other": "#F0E442",
}


def test_text() -> None:
    assert (
        str(StripFigure(vdi(10, 3, 33), title="A disk"))
        == """\
A disk
VDI dynamic, capacity 64 MiB, 3 of 64 blocks of 1 MiB allocated, file 5 MiB. The
file is 7.8 % as long as the disk.

guest  ···█······█······················█······························
file   ▒·░·███
       │││ └ guest data 3 MiB: blocks 10, 3, 33
       ││└ map of blocks 256 bytes
       │└ not used 2.0 MiB
       └ header 512 bytes

█ data   ▒ header   ░ map   · free   · not allocated
A sign of the guest is 1 MiB."""
    )


def test_text_since_before_and_with_a_parent() -> None:
    before = vdi(10, parent="base.vdi")
    text = str(StripFigure(vdi(10, 3, 33, parent="base.vdi"), before))
    ending = "file is 7.8 % as long as the disk, 2 MiB more than before."
    assert f"\nparent base.vdi. The {ending}" in text
    assert (
        """
          +                             +
guest  ^^^█^^^^^^█^^^^^^^^^^^^^^^^^^^^^^█^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            ++
file   ▒·░·███
"""
        in text
    )
    assert text.endswith("^ parent   + new\nA sign of the guest is 1 MiB.")


def test_text_of_a_fixed_disk_labels_its_end_to_the_left() -> None:
    size = 64 * MIB
    regions = [(0, size, "data", "guest data"), (size, 512, "header", "footer")]
    figure = StripFigure(disk(size, [(0, size, "data", 0)], regions, 0))
    assert str(figure).split("\n")[3:7] == [
        "guest  " + "█" * 64,
        "file   " + "█" * 64 + "▒",
        f"       │{'footer 512 bytes':>62} ┘",
        "       └ guest data 64 MiB",
    ]
    check_picture(figure)
    assert 'class="end"' in figure.svg() and 'h-6"/>' in figure.svg()


def test_new_blocks_are_marked_by_sign_outline_and_line() -> None:
    figure = StripFigure(vdi(10, 3, 33), vdi(10))
    strips = figure.strips
    assert [n for n, cell in enumerate(strips.guest) if cell.mark] == [3, 33]
    assert [n for n, cell in enumerate(strips.file) if cell.mark] == [5, 6]
    assert [new for *_, new in strips.lines] == [True, False, True]
    svg = figure.svg()
    assert svg.count('<rect class="data new"') == 5  # 4 cells and the legend
    assert svg.count('class="sign"') == 5
    assert [line.new for line in lines(svg)] == [True, False, True]
    assert "rect.new{stroke:#009E73" in svg and "text.sign{fill:#fff;stroke:#000" in svg


def test_small_parts_are_seen_and_labelled_with_a_lead() -> None:
    figure = StripFigure(vdi(10))
    widths = [(cell.kind, cell.wide) for cell in figure.strips.file]
    assert widths == [("header", 6), ("free", 8), ("map", 6), ("free", 8), ("data", 8)]
    root = parse(figure.svg())
    leads = [path for path in root.iter(SVG + "path") if path.get("class") == "lead"]
    assert len(leads) == 4
    texts = [text.text or "" for text in root.iter(SVG + "text")]
    assert [text for text in texts if text.startswith("header ")] == ["header 512 bytes"]


@pytest.mark.parametrize(
    ("written", "shown"), [((10, 3, 33), [3, 10, 33]), (range(64), range(0, 64, 3))]
)
def test_numbers_stand_above_the_blocks_and_keep_clear_of_each_other(
    written: range | tuple[int, ...], shown: range | list[int]
) -> None:
    root = parse(StripFigure(vdi(*written)).svg())
    numbers = [text.text for text in root.iter(SVG + "text") if text.get("class") == "number"]
    assert numbers == [str(n) for n in shown]


def test_alt_text_is_the_picture_in_sentences() -> None:
    root = parse(StripFigure(vdi(10, 3, 33), title="A <disk>").svg())
    assert root.get("role") == "img" and root[0].text == "A <disk>"
    assert root[1].text == (
        "VDI dynamic, capacity 64 MiB, 3 of 64 blocks of 1 MiB allocated, file 5 MiB. "
        "The file is 7.8 % as long as the disk. In the file: header 512 bytes; "
        "not used 2.0 MiB; map of blocks 256 bytes; guest data 3 MiB: blocks 10, 3, 33."
    )


def test_kinds_differ_in_colour_and_in_stripes_or_sign() -> None:
    kinds = ["data", "compressed", "zero", "parent"]
    places = [0, MIB, None, None]
    extents = [(n * MIB, MIB, kind, places[n]) for n, kind in enumerate(kinds)]
    regions = [(n * MIB, MIB, kind, kind) for n, kind in enumerate([*COLOURS, "free"])]
    figure = StripFigure(disk(4 * MIB, extents, regions, parent="base"))
    svg = figure.svg()
    assert set(re.findall(r'stroke="(#\w+)"', svg)) == set(COLOURS.values())
    stripes = re.findall(r'stroke-dasharray="([^"]+)"', svg)
    assert len(set(stripes)) == 4, "all but data, each in its own way"
    signs = re.findall(r'class="kind"[^>]*>(.)<', svg)
    assert sorted(signs) == ["0", "0", "^", "^"]  # legend and guest
    text = str(figure)
    assert "guest  █▓0^\nfile   █▓▒░▚·" in text
    for shown in ("█ data", "▓ compressed", "▒ header", "░ map", "▚ other", "· free", "0 zero"):
        assert shown in text
    style = parse(svg)[2].text or ""
    assert "--jp-content-font-color1,currentColor" in style
    rules = re.findall(r"(?:^|[},])\s*([.@a-z][^{},;:]*)(?=[,{])", style)
    assert all(rule.startswith(".lk-strip ") for rule in rules)


def test_blocks_share_a_cell_that_tells_how_full_it_is() -> None:
    figure = StripFigure(vdi(0, 1, 2, 3, 8, count=512))  # 8 blocks a cell
    guest = figure.strips.guest
    assert len(guest) == 64
    assert +guest[0].parts == {"data": 4 * MIB, "not allocated": 4 * MIB}
    assert "\nguest  ▄▁··" in str(figure)
    svg = figure.svg()
    assert boxes(svg)[0].tip == "blocks 0–7: 4 MiB data, 4 MiB not allocated"
    assert heights(svg)[:2] == [16, 4], "of 32 px"
    check_picture(figure)
    assert heights(StripFigure(vdi(0, count=1 << 14)).svg())[0] == 2, "to be seen"


def heights(svg: str) -> list[float]:
    """How high the cells are filled with data, in px."""
    bars = re.findall(r'stroke="#0072B2" stroke-width="7" d="M\S+ \S+v(\S+)"', svg)
    return [float(bar) for bar in bars]


def test_kinds_in_one_cell_stand_one_upon_the_other() -> None:
    extents = [(0, MIB, "data", MIB), (MIB, MIB, "compressed", 2 * MIB)]
    regions = [(0, MIB, "header", "h"), (MIB, 2 * MIB, "data", "d")]
    svg = StripFigure(disk(512 * MIB, extents, regions)).svg()
    tops = re.findall(r'stroke="(?:#0072B2|#56B4E9)" stroke-width="7" d="M\S+ (\S+)v4', svg)
    assert float(tops[0]) - float(tops[1]) == 4


def test_markup_and_controls_in_texts() -> None:
    evil = '</text><script>alert("1")</script>\x00\x1b\u202e\ud800'
    regions = [(0, 1, "header", evil), (1, MIB, "data", evil * 50)]
    extents = [(0, MIB, "data", 1)]
    hostile = disk(MIB, extents, regions, parent=evil, variant=evil, kind=evil)
    figure = StripFigure(hostile, title=evil)
    svg = figure.svg()
    assert "<script" not in svg
    tags = {child.tag.removeprefix(SVG) for child in parse(svg).iter()}
    assert tags <= {"svg", "title", "desc", "style", "path", "rect", "text"}
    assert all(len(line) <= 80 and line.isprintable() for line in str(figure).split("\n"))


# -- does a test notice?


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r'(class="line new"[^>]* d="M)\d+', r"\g<1>500"),  # a line begins elsewhere
        (r'(class="line"[^>]*) \S+ (\d+"/>)', r"\1 500 \2"),  # ends elsewhere
        ('<path class="line"[^>]*>', ""),  # is missing
        ('class="line new"', 'class="line"'),  # is not new
        (r'(<rect [^>]*width=")7(" height="32)', r"\g<1>5\2"),  # a cell is narrower
        (r'(<rect [^>]*x=")96(" y="\d+" width="7" height="32)', r"\g<1>94\2"),  # is elsewhere
        (r'<rect [^>]*height="32">.*?</rect>', ""),  # is missing
    ],
)
def test_a_changed_picture_is_noticed(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = StripFigure(vdi(10, 3, 33), vdi(10))
    svg = str(figure.svg())
    changed = re.sub(old, new, svg, count=1)
    assert changed != svg
    monkeypatch.setattr(figure, "svg", lambda: changed)
    with pytest.raises((AssertionError, ValueError)):
        check_picture(figure)


@pytest.mark.parametrize(
    "change",
    [
        lambda regions: [*regions[:2], regions[2]._replace(kind="other"), *regions[3:]],
        lambda regions: [*regions[:2], regions[2]._replace(label="table"), *regions[3:]],
        lambda regions: [*regions, Region(4 * MIB, 512, "header", "footer")],
        lambda regions: regions[:-1],
    ],
)
def test_a_changed_region_changes_text_and_picture(
    change: Callable[[list[Region]], list[Region]],
) -> None:
    before = vdi(10, 3)
    after = disk(before.capacity, list(before.extents()), change(before.regions()))
    assert StripFigure(after).svg() != StripFigure(before).svg()
    assert str(StripFigure(after)) != str(StripFigure(before))
