"""The figure of a virtual disk: what is drawn is worked out here a second time, from the disk's own map."""

from __future__ import annotations

import json
import re
import time
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.disks import Disk
from labkit.disks.strip import Strip, spans

SVG = "{http://www.w3.org/2000/svg}"
PROFILE = settings(max_examples=80, deadline=None, derandomize=True)
MIB = 1 << 20
# The house look, written down a second time on purpose: a changed colour or sign must turn a test red.
COLOURS = {
    "data": "#0072B2",
    "compressed": "#56B4E9",
    "header": "#CC79A7",
    "map": "#E69F00",
    "other": "#F0E442",
}
SIGNS = {
    "header": "▒",
    "map": "░",
    "data": "█",
    "compressed": "▓",
    "other": "▚",
    "free": "·",
    "not allocated": "·",
    "zero": "0",
    "parent": "^",
}
Rows = list[tuple[int, int, str, object]]


def disk(
    capacity: int,
    extents: Rows,
    regions: Rows,
    block: int = MIB,
    parent: str = "",
    variant: str = "dynamic",
    kind: str = "blocks",
) -> Disk:
    """A disk as a recording holds it."""
    stored = sum(size for _, size, what, _ in extents if what in ("data", "compressed"))
    return Disk.from_json(
        {
            "name": "a.vdi",
            "format": "VDI",
            "variant": variant,
            "kind": kind,
            "capacity": capacity,
            "allocated": stored,
            "file_size": sum(size for _, size, _, _ in regions),
            "block_size": block,
            "uuid": "",
            "parent": parent,
            "notes": [],
            "fields": [],
            "map": [list(row) for row in extents],
            "regions": [
                dict(zip(("offset", "size", "kind", "label"), row, strict=True)) for row in regions
            ],
        }
    )


def vdi(*written: int, count: int = 64, block: int = MIB, parent: str = "") -> Disk:
    """A dynamic VDI to which these blocks were written, in this order."""
    places = {number: 2 * MIB + n * block for n, number in enumerate(written)}
    extents: Rows = [
        (n * block, block, "data" if n in places else "parent", places.get(n)) for n in range(count)
    ]
    regions: Rows = [
        (0, 512, "header", "header"),
        (512, MIB - 512, "free", "not used"),
        (MIB, 4 * count, "map", "map of blocks"),
        (MIB + 4 * count, MIB - 4 * count, "free", "not used"),
        (2 * MIB, len(written) * block, "data", "guest data"),
    ]
    return disk(count * block, extents, regions[: 4 + bool(written)], block, parent)


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg.encode("utf-8"))


def boxes(svg: str) -> list[tuple[str, float, float, float]]:
    """The cells: tooltip, left, top and width in px; the legend's swatches, which are 14 px high, left out."""
    return [
        (box[0].text or "", *(float(box.get(name, "")) for name in ("x", "y", "width")))  # type: ignore[misc]
        for box in parse(svg).iter(SVG + "rect")
        if box.get("height") == "32"
    ]


def lines(svg: str) -> list[tuple[float, float, bool]]:
    """Where each line begins and ends from left to right, and whether it is new."""
    return [
        (
            *(float(x) for x in re.findall(r"^M(\S+) .* (\S+) \S+$", path.get("d", ""))[0]),  # type: ignore[misc]
            "new" in path.get("class", "").split(),
        )
        for path in parse(svg).iter(SVG + "path")
        if path.get("class", "").split()[:1] == ["line"]
    ]


def check_picture(strip: Strip) -> None:
    """Cells and lines of the picture are those of the data."""
    svg, data = strip.svg(), strip.data()
    drawn, cells = boxes(svg), data["guest"] + data["file"]
    assert len(drawn) == len(cells)
    for (_, x, _, wide), cell in zip(drawn, cells, strict=True):
        assert abs(x - 88 - cell["x"]) < 0.06 and abs(wide + 1 - cell["wide"]) < 0.06
    guest, file = drawn[: len(data["guest"])], drawn[len(data["guest"]) :]
    assert len({y for _, _, y, _ in guest}) <= 1 and len({y for _, _, y, _ in file}) <= 1
    assert len(lines(svg)) == len(data["lines"])
    for (x0, x1, fresh), (a, b, _, new) in zip(lines(svg), data["lines"], strict=True):
        assert (
            abs(x0 - guest[a][1] - guest[a][3] / 2) < 0.1
            and abs(x1 - file[b][1] - file[b][3] / 2) < 0.1
        )
        assert fresh == new


# --- small disks, in full -------------------------------------------------------------------------------------


def test_text() -> None:
    assert (
        str(Strip(vdi(10, 3, 33), title="A disk"))
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
    text = str(Strip(vdi(10, 3, 33, parent="base.vdi"), vdi(10, parent="base.vdi")))
    assert (
        "\nparent base.vdi. The file is 7.8 % as long as the disk, 2 MiB more than before." in text
    )
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
    fixed = disk(
        size,
        [(0, size, "data", 0)],
        [(0, size, "data", "guest data"), (size, 512, "header", "footer")],
        0,
    )
    assert str(Strip(fixed)).split("\n")[3:7] == [
        "guest  " + "█" * 64,
        "file   " + "█" * 64 + "▒",
        f"       │{'footer 512 bytes':>62} ┘",
        "       └ guest data 64 MiB",
    ]
    check_picture(Strip(fixed))
    assert 'class="end"' in Strip(fixed).svg() and 'h-6"/>' in Strip(fixed).svg()


def test_lines_go_from_each_block_to_its_place() -> None:
    data = Strip(vdi(10, 3, 33)).data()
    assert data["lines"] == [[3, 5, MIB, False], [10, 4, MIB, False], [33, 6, MIB, False]]
    assert [(cell["start"], cell["kind"]) for cell in data["file"][4:]] == [
        (2 * MIB, "data"),
        (3 * MIB, "data"),
        (4 * MIB, "data"),
    ]
    assert data["guest"][3]["parts"] == {"data": MIB} and data["guest"][4]["parts"] == {
        "not allocated": MIB
    }
    assert json.loads(json.dumps(data)) == data
    check_picture(Strip(vdi(10, 3, 33)))


def test_new_blocks_are_marked_by_sign_outline_and_line() -> None:
    strip = Strip(vdi(10, 3, 33), vdi(10))
    data = strip.data()
    assert [n for n, cell in enumerate(data["guest"]) if cell["mark"]] == [3, 33]
    assert [n for n, cell in enumerate(data["file"]) if cell["mark"]] == [5, 6]
    assert [line[3] for line in data["lines"]] == [True, False, True]
    svg = strip.svg()
    assert (
        svg.count('<rect class="data new"') == 5 and svg.count('class="sign"') == 5
    )  # 4 cells and the legend
    assert [fresh for *_, fresh in lines(svg)] == [True, False, True]
    assert "rect.new{stroke:#009E73" in svg and "text.sign{fill:#fff;stroke:#000" in svg
    assert "new" not in Strip(vdi(10), vdi(10)).data()["guest"][10]["mark"]


def test_a_block_that_moved_is_new() -> None:
    data = Strip(vdi(3, 10), vdi(10, 3)).data()
    assert [n for n, cell in enumerate(data["guest"]) if cell["mark"]] == [3, 10]


def test_what_the_file_grew_by_is_new_unless_it_is_empty() -> None:
    old = vdi(10)
    regions: Rows = [
        *map(tuple, old.regions()),
        (3 * MIB, MIB, "map", "more map"),  # type: ignore[list-item]
        (4 * MIB, MIB, "free", "not used"),
    ]
    grown = disk(old.capacity, [*map(tuple, old.extents())], regions)  # type: ignore[list-item]
    assert [(cell["kind"], cell["mark"]) for cell in Strip(grown, old).data()["file"]][-3:] == [
        ("data", ""),
        ("map", "new"),
        ("free", ""),
    ]
    assert not any(cell["mark"] for cell in Strip(grown).data()["file"])


def test_a_compressed_block_is_where_it_begins() -> None:
    rows: Rows = [(n * MIB, MIB, "compressed", 512 + 100_000 * n) for n in range(4)]
    regions: Rows = [(0, 512, "header", "header"), (512, 400_000, "data", "packed")]
    data = Strip(disk(4 * MIB, rows, regions)).data()
    assert [line[:2] for line in data["lines"]] == [[n, n + 1] for n in range(4)]
    assert "".join(cell["kind"][0] for cell in data["guest"]) == "cccc"


def test_both_strips_and_both_disks_have_one_scale() -> None:
    small, full = Strip(vdi(10)), Strip(vdi(*range(64)))
    assert small.scale == full.scale == 64 * MIB // 512
    for strip in (small, full):
        cells = strip.data()["guest"] + [
            cell for cell in strip.data()["file"] if cell["kind"] == "data"
        ]
        assert {cell["wide"] for cell in cells} == {8}
    bigger = Strip(vdi(10), scale=Strip(vdi(10, count=128)).scale)
    assert bigger.data()["guest"][-1]["x"] < 256
    assert Strip(vdi(10), scale=1).scale == small.scale, "never wider than the page"


def test_small_parts_are_seen_and_labelled_with_a_lead() -> None:
    strip = Strip(vdi(10))
    root = parse(strip.svg())
    assert [(cell["kind"], cell["wide"]) for cell in strip.data()["file"]] == [
        ("header", 6),
        ("free", 8),
        ("map", 6),
        ("free", 8),
        ("data", 8),
    ]
    leads = [path for path in root.iter(SVG + "path") if path.get("class") == "lead"]
    assert len(leads) == 4
    texts = [text.text for text in root.iter(SVG + "text")]
    assert [text for text in texts if text and text.startswith("header ")] == ["header 512 bytes"]


def test_numbers_stand_above_the_blocks_and_keep_clear_of_each_other() -> None:
    def numbers(*written: int) -> list[str]:
        root = parse(Strip(vdi(*written)).svg())
        return [
            text.text or "" for text in root.iter(SVG + "text") if text.get("class") == "number"
        ]

    assert numbers(10, 3, 33) == ["3", "10", "33"]
    assert numbers(*range(64)) == [str(n) for n in range(0, 64, 3)]


def test_alt_text_is_the_picture_in_sentences() -> None:
    root = parse(Strip(vdi(10, 3, 33), title="A <disk>").svg())
    assert root.get("role") == "img" and root[0].text == "A <disk>"
    assert root[1].text == (
        "VDI dynamic, capacity 64 MiB, 3 of 64 blocks of 1 MiB allocated, file 5 MiB. The file is 7.8 % as long as the "
        "disk. In the file: header 512 bytes; not used 2.0 MiB; map of blocks 256 bytes; guest data 3 MiB: "
        "blocks 10, 3, 33."
    )


def test_kinds_differ_in_colour_and_in_stripes_or_sign() -> None:
    rows: Rows = [
        (0, MIB, "data", 0),
        (MIB, MIB, "compressed", MIB),
        (2 * MIB, MIB, "zero", None),
        (3 * MIB, MIB, "parent", None),
    ]
    regions: Rows = [(n * MIB, MIB, kind, kind) for n, kind in enumerate([*COLOURS, "free"])]
    svg = Strip(disk(4 * MIB, rows, regions, parent="base")).svg()
    painted, striped = (
        set(re.findall(r'stroke="(#\w+)"', svg)),
        re.findall(r'stroke-dasharray="([^"]+)"', svg),
    )
    assert painted == set(COLOURS.values())
    assert len(set(striped)) == 4, "all but data, each in its own way"
    signs = re.findall(r'class="kind"[^>]*>(.)<', svg)
    assert sorted(signs) == ["0", "0", "^", "^"]  # legend and guest
    text = str(Strip(disk(4 * MIB, rows, regions, parent="base")))
    assert "guest  █▓0^\nfile   █▓▒░▚·" in text
    for kind, sign in SIGNS.items():
        assert f"{sign} {kind}" in text or kind == "not allocated"
    style = parse(svg)[2].text or ""
    assert "--jp-content-font-color1,currentColor" in style and all(
        rule.startswith(".lk-strip ")
        for rule in re.findall(r"(?:^|[},])\s*([.@a-z][^{},;:]*)(?=[,{])", style)
    )


def test_spans() -> None:
    assert spans([(10, 10), (3, 3), (4, 5), (9, 9)], 99) == "10, 3–5, 9"
    assert spans([(0, 63)], 99) == "0–63" and spans([], 9) == ""
    assert spans([(7, 7), (7, 7), (8, 8)], 99) == "7–8", "two pieces of one block"
    assert spans([(n, n) for n in range(0, 10_000, 2)], 20) == "0, 2, 4, 6, 8, 10, …"
    assert spans([(123456, 123456)], 0) == "123456"


# --- many blocks ----------------------------------------------------------------------------------------------


def test_blocks_share_a_cell_that_tells_how_full_it_is() -> None:
    strip = Strip(vdi(0, 1, 2, 3, 8, count=512))  # 8 blocks a cell
    data = strip.data()
    assert len(data["guest"]) == 64 and data["guest"][0]["parts"] == {
        "data": 4 * MIB,
        "not allocated": 4 * MIB,
    }
    assert "\nguest  ▄▁··" in str(strip)
    assert boxes(strip.svg())[0][0] == "blocks 0–7: 4 MiB data, 4 MiB not allocated"
    tall = re.findall(r'stroke="#0072B2" stroke-width="7" d="M\S+ \S+v(\S+)"', strip.svg())
    assert tall[:2] == ["16", "4"], "of 32 px"
    check_picture(strip)
    rows: Rows = [(0, MIB, "data", MIB), (MIB, MIB, "compressed", 2 * MIB)]
    mixed = Strip(
        disk(512 * MIB, rows, [(0, MIB, "header", "h"), (MIB, 2 * MIB, "data", "d")])
    ).svg()
    blue, pale = (
        float(re.findall(rf'stroke="{COLOURS[kind]}" stroke-width="7" d="M\S+ (\S+)v4', mixed)[0])
        for kind in ("data", "compressed")
    )
    assert blue - pale == 4, "one upon the other"
    rare = Strip(vdi(0, count=1 << 14))
    assert (
        re.findall(r'stroke="#0072B2" stroke-width="7" d="M\S+ \S+v(\S+)"', rare.svg())[0] == "2"
    ), "to be seen"


@pytest.mark.parametrize("count", [1, 64, 65, 1 << 14, 1 << 22, 1 << 30])
def test_pictures_do_not_grow_with_the_capacity(count: int) -> None:
    size = count * MIB
    extents: Rows = [(0, MIB, "data", MIB), (MIB, size - MIB, "parent", None)][: min(count, 2)]
    one = disk(size, extents, [(0, MIB, "header", "header"), (MIB, MIB, "data", "guest data")])
    start = time.process_time()
    strip = Strip(one)
    assert len(strip.svg()) < 30_000 and time.process_time() - start < 1
    assert 1 <= len(strip.data()["guest"]) <= 64 and len(strip.data()["file"]) == 2
    check_picture(strip)


def test_the_file_is_to_scale_whatever_the_order_of_writing() -> None:
    full = Strip(vdi(*(n * 7919 % 10240 for n in range(9000)), count=10240))
    data = [cell for cell in full.data()["file"] if cell["kind"] == "data"]
    assert 50 < len(data) < 72 and all(cell["size"] <= 2 * full.step for cell in data)
    assert abs(data[-1]["x"] + data[-1]["wide"] - full.disk.file_size / full.scale) < 50
    check_picture(full)


def test_long_scattered_maps_are_joined_and_stay_fast() -> None:
    count = 100_000
    order = sorted(range(count), key=lambda n: n * 7919 % count)
    extents: Rows = [(n * 512, 512, "data", 1024 * at + 512) for at, n in enumerate(order)]
    extents.sort()
    regions: Rows = [
        (512 * n, 512, "data" if n % 2 else "map", "ab"[n % 2]) for n in range(2 * count)
    ]
    regions[count] = (512 * count, 512, "other", "in the middle")
    start = time.process_time()
    strip = Strip(disk(count * 512, extents, regions, 512))
    svg = strip.svg()
    assert time.process_time() - start < 20 and len(svg) < 200_000
    assert (
        len(strip.file) <= 72
        and len(strip.lines) == 256
        and " lines the 256 for most bytes are drawn." in svg
    )
    assert {cell["kind"] for cell in strip.data()["file"]} == {"map", "data", "other"}
    assert (
        sum(cell.kind == "other" for cell in strip.file) == 1 and "in the middle 512 bytes" in svg
    )
    check_picture(strip)


# --- any disk -------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=()), max_size=40)


@st.composite
def disks(draw: st.DrawFn) -> Disk:
    block = draw(st.sampled_from([512, 4096, 65536, MIB, 2 * MIB]))
    count, at, start = draw(st.integers(0, 300)), 0, 0
    extents, regions = list[tuple[int, int, str, object]](), list[tuple[int, int, str, object]]()
    places = draw(st.permutations(range(count))) if draw(st.booleans()) else range(count)
    last = draw(st.integers(1, block)) if count else 0  # the last block may be cut short
    for _ in range(draw(st.integers(0, 4))):
        size = draw(st.integers(1, 3 * MIB))
        regions.append(
            (at, size, draw(st.sampled_from(["header", "map", "other", "free"])), draw(TEXT))
        )
        at += size
    slots = dict[int, int]()
    for n in places:
        if draw(st.booleans()):
            slots[n] = at
            regions.append((at, block, "data", "guest data"))
            at += block
    for n in range(count):
        size = last if n == count - 1 else block
        kind = draw(st.sampled_from(["data", "compressed"] if n in slots else ["zero", "parent"]))
        extents.append((start, size, kind, slots.get(n)))
        start += size
    return disk(start, extents, regions, block, draw(st.sampled_from(["", "base.vdi"])), draw(TEXT))


def index(cells: list[dict[str, int]], byte: int) -> int:
    return next(
        n for n, cell in enumerate(cells) if cell["start"] <= byte < cell["start"] + cell["size"]
    )


@given(disks(), st.one_of(st.none(), disks()), TEXT)
@PROFILE
def test_any_disk(one: Disk, before: Disk | None, title: str) -> None:
    strip = Strip(one, before, title)
    data = strip.data()
    for cells, size in ((data["guest"], one.capacity), (data["file"], one.file_size)):
        assert sum(cell["size"] for cell in cells) == size, "every byte is in a cell"
        assert [cell["start"] for cell in cells] == [
            sum(c["size"] for c in cells[:n]) for n in range(len(cells))
        ]
        assert all(sum(cell["parts"].values()) == cell["size"] > 0 for cell in cells)
        ends = [cell["x"] + cell["wide"] for cell in cells]
        assert all(
            abs(cell["x"] - end) < 0.2 and cell["wide"] >= 6
            for cell, end in zip(cells[1:], ends, strict=False)
        )
        assert max(ends, default=0) <= 580
    assert len(data["guest"]) <= 64 and len(data["file"]) <= 72
    found, wanted = {(a, b) for a, b, _, _ in data["lines"]}, set()
    edges = [cell["start"] for cell in data["guest"]]
    for start, length, kind, at in one.extents():
        if at is not None:
            shift = at - start
            inside = [
                start,
                *edges,
                *(cell["start"] - shift for cell in data["file"] if kind == "data"),
            ]
            wanted |= {
                (
                    index(data["guest"], byte),
                    index(data["file"], byte + shift if kind == "data" else at),
                )
                for byte in inside
                if start <= byte < start + length
            }
    if {extent.kind for extent in one.extents()} <= {"data", "zero", "parent"} and len(found) < 256:
        assert sum(size for _, _, size, _ in data["lines"]) == one.allocated
    assert found == wanted or (len(found) == 256 and found < wanted)
    assert all(len(line) <= 80 for line in str(strip).split("\n"))
    kinds = {kind for cell in data["guest"] + data["file"] for kind in cell["parts"]}
    assert all(f"{SIGNS[kind]} {kind}" in " ".join(str(strip).split("\n")[-5:]) for kind in kinds)
    check_picture(strip)
    assert strip.svg() == Strip(one, before, title).svg()
    assert set(strip._repr_mimebundle_()) == {"text/plain", "text/html"}


@given(st.lists(st.integers(0, 63), min_size=1, unique=True), st.data())
@PROFILE
def test_another_order_of_writing_is_another_picture(
    written: list[int], draw: st.DataObject
) -> None:
    other = draw.draw(st.permutations(written))
    assert (lines(Strip(vdi(*other)).svg()) == lines(Strip(vdi(*written)).svg())) == (
        other == written
    )
    assert (
        str(Strip(vdi(*written))).split("\n")[3:] == str(Strip(vdi(*written[:-1]))).split("\n")[3:]
    ) is False


@pytest.mark.parametrize(
    "old, new",
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
    strip = Strip(vdi(10, 3, 33), vdi(10))
    svg = strip.svg()
    changed = re.sub(old, new, svg, count=1)
    assert changed != svg
    monkeypatch.setattr(strip, "svg", lambda: changed)
    with pytest.raises(AssertionError):
        check_picture(strip)


@pytest.mark.parametrize(
    "change",
    [
        lambda regions: [
            (at, size, "other" if kind == "map" else kind, label)
            for at, size, kind, label in regions
        ],
        lambda regions: [
            (at, size, kind, "table" if kind == "map" else label)
            for at, size, kind, label in regions
        ],
        lambda regions: [*regions, (sum(row[1] for row in regions), 512, "header", "footer")],
        lambda regions: regions[:-1],
    ],
)
def test_a_changed_region_changes_text_and_picture(change: object) -> None:
    before = vdi(10, 3)
    regions = change([tuple(region) for region in before.regions()])  # type: ignore[operator]
    after = disk(before.capacity, [tuple(extent) for extent in before.extents()], regions)  # type: ignore[misc]
    assert Strip(after).svg() != Strip(before).svg() and str(Strip(after)) != str(Strip(before))


# --- hostile --------------------------------------------------------------------------------------------------


def test_nothing_at_all() -> None:
    strip = Strip(disk(0, [], [], 0))
    assert strip.data()["guest"] == strip.data()["file"] == strip.data()["lines"] == []
    assert "guest  \nfile   \n" in str(strip) + "\n" and parse(strip.svg()) is not None
    check_picture(strip)


def test_one_block() -> None:
    strip = Strip(vdi(0, count=1))
    assert [(cell["x"], cell["wide"]) for cell in strip.data()["guest"]] == [
        (0, strip.data()["guest"][0]["wide"])
    ]
    check_picture(strip)


def test_a_pebibyte() -> None:
    huge = disk(
        1 << 50,
        [(0, 1 << 49, "zero", None), (1 << 49, 65536, "data", 512)],
        [(0, 512, "header", "header"), (512, 65536, "data", "guest data")],
        65536,
    )
    strip = Strip(huge)
    assert len(strip.data()["guest"]) == 64 and len(strip.lines) == 1 and strip.lines[0][0] == 32
    assert all(len(line) <= 80 for line in str(strip).split("\n"))
    check_picture(strip)


def test_markup_and_controls_in_texts() -> None:
    evil = '</text><script>alert("1")</script>\x00\x1b\u202e\ud800'
    strip = Strip(
        disk(
            MIB,
            [(0, MIB, "data", 1)],
            [(0, 1, "header", evil), (1, MIB, "data", evil * 50)],
            parent=evil,
            variant=evil,
            kind=evil,
        ),
        title=evil,
    )
    root = parse(strip.svg())
    assert "<script" not in strip.svg() and all(
        child.tag.removeprefix(SVG) in ("svg", "title", "desc", "style", "path", "rect", "text")
        for child in root.iter()
    )
    assert all(len(line) <= 80 and line.isprintable() for line in str(strip).split("\n"))


def test_a_file_cut_short_draws_what_is_left() -> None:
    short = disk(
        4 * MIB,
        [(0, 4 * MIB, "data", MIB)],
        [(0, MIB, "header", "header"), (MIB, MIB, "data", "guest data")],
    )
    strip = Strip(short)
    assert {a for a, *_ in strip.lines} == set(range(len(strip.guest) // 4)) and len(
        strip.guest
    ) > 3
    check_picture(strip)


def test_a_record_whose_parts_are_longer_than_its_file_is_drawn_all_the_same() -> None:
    lying = disk(MIB, [], [(n * MIB, MIB, "data", str(n % 7)) for n in range(50)])
    lying.file_size = MIB // 2
    check_picture(Strip(lying))
