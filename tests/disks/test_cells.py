"""The cells of a disk's figure: what is drawn is worked out here a second time, from the map."""

from __future__ import annotations

import pytest
from disks.drawn import MIB, check_picture, disk, lines, vdi
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.disks import Disk
from labkit.disks.cells import StripCell
from labkit.disks.strip import StripFigure

PROFILE = settings(max_examples=80, deadline=None, derandomize=True)
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
Cells = list[StripCell]


def marked(cells: Cells) -> list[int]:
    return [n for n, cell in enumerate(cells) if cell.mark]


def test_lines_go_from_each_block_to_its_place() -> None:
    figure = StripFigure(vdi(10, 3, 33))
    strips = figure.strips
    assert strips.lines == [(3, 5, MIB, False), (10, 4, MIB, False), (33, 6, MIB, False)]
    stored = [(cell.start, cell.kind) for cell in strips.file[4:]]
    assert stored == [(2 * MIB, "data"), (3 * MIB, "data"), (4 * MIB, "data")]
    assert +strips.guest[3].parts == {"data": MIB}
    assert +strips.guest[4].parts == {"not allocated": MIB}
    check_picture(figure)


def test_a_block_that_moved_is_new() -> None:
    assert marked(StripFigure(vdi(3, 10), vdi(10, 3)).strips.guest) == [3, 10]
    assert marked(StripFigure(vdi(10), vdi(10)).strips.guest) == []


def test_what_the_file_grew_by_is_new_unless_it_is_empty() -> None:
    old = vdi(10)
    grown_by = [(3 * MIB, MIB, "map", "more map"), (4 * MIB, MIB, "free", "not used")]
    grown = disk(old.capacity, list(old.extents()), [*old.regions(), *grown_by])
    cells = StripFigure(grown, old).strips.file[-3:]
    kinds = [(cell.kind, cell.mark) for cell in cells]
    assert kinds == [("data", ""), ("map", "new"), ("free", "")]
    assert marked(StripFigure(grown).strips.file) == []


def test_a_compressed_block_is_where_it_begins() -> None:
    extents = [(n * MIB, MIB, "compressed", 512 + 100_000 * n) for n in range(4)]
    regions = [(0, 512, "header", "header"), (512, 400_000, "data", "packed")]
    strips = StripFigure(disk(4 * MIB, extents, regions)).strips
    assert [line[:2] for line in strips.lines] == [(n, n + 1) for n in range(4)]
    assert [cell.kind for cell in strips.guest] == ["compressed"] * 4


def test_both_strips_and_both_disks_have_one_scale() -> None:
    small, full = StripFigure(vdi(10)), StripFigure(vdi(*range(64)))
    assert small.scale == full.scale == 64 * MIB // 512
    for figure in (small, full):
        strips = figure.strips
        stored = [cell for cell in strips.file if cell.kind == "data"]
        assert {cell.wide for cell in strips.guest + stored} == {8}
    bigger = StripFigure(vdi(10), scale=StripFigure(vdi(10, count=128)).scale)
    assert bigger.strips.guest[-1].x < 256
    assert StripFigure(vdi(10), scale=1).scale == small.scale, "never wider than the page"


@pytest.mark.parametrize("count", [1, 64, 65, 1 << 14, 1 << 22, 1 << 30])
def test_pictures_do_not_grow_with_the_capacity(count: int) -> None:
    size = count * MIB
    extents = [(0, MIB, "data", MIB), (MIB, size - MIB, "parent", None)][: min(count, 2)]
    regions = [(0, MIB, "header", "header"), (MIB, MIB, "data", "guest data")]
    figure = StripFigure(disk(size, extents, regions))
    assert len(figure.svg()) < 30_000
    assert 1 <= len(figure.strips.guest) <= 64 and len(figure.strips.file) == 2
    check_picture(figure)


def test_the_file_is_to_scale_whatever_the_order_of_writing() -> None:
    full = StripFigure(vdi(*(n * 7919 % 10240 for n in range(9000)), count=10240))
    stored = [cell for cell in full.strips.file if cell.kind == "data"]
    assert 50 < len(stored) < 72 and all(cell.size <= 2 * full.strips.step for cell in stored)
    end = stored[-1].x + stored[-1].wide
    assert abs(end - full.disk.file_size / full.scale) < 50
    check_picture(full)


def test_long_scattered_maps_are_joined() -> None:
    count = 100_000
    order = sorted(range(count), key=lambda n: n * 7919 % count)
    extents = sorted((n * 512, 512, "data", 1024 * at + 512) for at, n in enumerate(order))
    regions = [(512 * n, 512, "data" if n % 2 else "map", "ab"[n % 2]) for n in range(2 * count)]
    regions[count] = (512 * count, 512, "other", "in the middle")
    figure = StripFigure(disk(count * 512, extents, regions, 512))
    svg = figure.svg()
    file = figure.strips.file
    assert len(svg) < 200_000 and len(file) <= 72 and len(figure.strips.lines) == 256
    assert " lines the 256 for most bytes are drawn." in svg
    kinds = [cell.kind for cell in file]
    assert set(kinds) == {"map", "data", "other"} and kinds.count("other") == 1
    assert "in the middle 512 bytes" in svg
    check_picture(figure)


# -- any disk

TEXT = st.text(st.characters(exclude_categories=()), max_size=40)


@st.composite
def disks(draw: st.DrawFn) -> Disk:
    block = draw(st.sampled_from([512, 4096, 65536, MIB, 2 * MIB]))
    count = draw(st.integers(0, 300))
    extents = []
    regions = []
    places = draw(st.permutations(range(count))) if draw(st.booleans()) else range(count)
    last = draw(st.integers(1, block)) if count else 0  # the last block may be cut short
    at = 0
    for _ in range(draw(st.integers(0, 4))):
        size = draw(st.integers(1, 3 * MIB))
        kind = draw(st.sampled_from(["header", "map", "other", "free"]))
        regions.append((at, size, kind, draw(TEXT)))
        at += size
    slots: dict[int, int] = {}
    for n in places:
        if draw(st.booleans()):
            slots[n] = at
            regions.append((at, block, "data", "guest data"))
            at += block
    start = 0
    for n in range(count):
        size = last if n == count - 1 else block
        kind = draw(st.sampled_from(["data", "compressed"] if n in slots else ["zero", "parent"]))
        extents.append((start, size, kind, slots.get(n)))
        start += size
    return disk(start, extents, regions, block, draw(st.sampled_from(["", "base.vdi"])), draw(TEXT))


def index(cells: Cells, byte: int) -> int:
    return next(n for n, cell in enumerate(cells) if cell.start <= byte < cell.start + cell.size)


def check_cells(cells: Cells, size: int) -> None:
    """Every byte is in one cell, in order, and the cells are side by side."""
    end = 0
    x = 0.0
    for cell in cells:
        assert cell.start == end and sum(cell.parts.values()) == cell.size > 0
        assert abs(cell.x - x) < 0.2 and cell.wide >= 6
        end += cell.size
        x = cell.x + cell.wide
    assert end == size and x <= 580


def check_lines(figure: StripFigure) -> None:
    """Each stored byte's cell of the guest is joined with its cell of the file, the rest is not."""
    strips = figure.strips
    edges = [cell.start for cell in strips.guest]
    joined = {(guest, file) for guest, file, _, _ in strips.lines}
    wanted = set()
    for start, length, kind, at in figure.disk.extents():
        if at is None:
            continue
        file_edges = [cell.start + start - at for cell in strips.file if kind == "data"]
        for byte in (start, *edges, *file_edges):
            if start <= byte < start + length:
                place = at + byte - start if kind == "data" else at
                wanted.add((index(strips.guest, byte), index(strips.file, place)))
    assert joined == wanted or (len(joined) == 256 and joined < wanted)
    packed = any(extent.kind == "compressed" for extent in figure.disk.extents())
    if not packed and len(joined) < 256:
        assert sum(size for _, _, size, _ in strips.lines) == figure.disk.allocated


@given(disks(), st.one_of(st.none(), disks()), TEXT)
@PROFILE
def test_any_disk(now: Disk, before: Disk | None, title: str) -> None:
    figure = StripFigure(now, before, title)
    strips = figure.strips
    check_cells(strips.guest, now.capacity)
    check_cells(strips.file, now.file_size)
    assert len(strips.guest) <= 64 and len(strips.file) <= 72
    check_lines(figure)
    text = str(figure)
    assert all(len(line) <= 80 for line in text.split("\n"))
    legend = " ".join(text.split("\n")[-5:])
    for cell in strips.guest + strips.file:
        assert all(f"{SIGNS[kind]} {kind}" in legend for kind in +cell.parts)
    check_picture(figure)
    assert figure.svg() == StripFigure(now, before, title).svg()
    assert set(figure._repr_mimebundle_()) == {"text/plain", "text/html"}


@given(st.lists(st.integers(0, 63), min_size=1, unique=True), st.data())
@PROFILE
def test_another_order_of_writing_is_another_picture(
    written: list[int], data: st.DataObject
) -> None:
    other = data.draw(st.permutations(written))
    now, then = StripFigure(vdi(*written)), StripFigure(vdi(*other))
    assert (lines(now.svg()) == lines(then.svg())) == (other == written)
    shorter = StripFigure(vdi(*written[:-1]))
    assert str(now).split("\n")[3:] != str(shorter).split("\n")[3:]


# -- hostile


def test_nothing_at_all() -> None:
    figure = StripFigure(disk(0, [], [], 0))
    strips = figure.strips
    assert not strips.guest and not strips.file and not strips.lines
    assert "guest  \nfile   \n" in str(figure) + "\n"
    check_picture(figure)


def test_one_block() -> None:
    figure = StripFigure(vdi(0, count=1))
    assert [cell.x for cell in figure.strips.guest] == [0]
    check_picture(figure)


def test_a_pebibyte() -> None:
    extents = [(0, 1 << 49, "zero", None), (1 << 49, 65536, "data", 512)]
    regions = [(0, 512, "header", "header"), (512, 65536, "data", "guest data")]
    figure = StripFigure(disk(1 << 50, extents, regions, 65536))
    strips = figure.strips
    assert len(strips.guest) == 64 and [line[0] for line in strips.lines] == [32]
    assert all(len(line) <= 80 for line in str(figure).split("\n"))
    check_picture(figure)


def test_a_file_cut_short_draws_what_is_left() -> None:
    regions = [(0, MIB, "header", "header"), (MIB, MIB, "data", "guest data")]
    figure = StripFigure(disk(4 * MIB, [(0, 4 * MIB, "data", MIB)], regions))
    strips = figure.strips
    count = len(strips.guest)
    assert {line[0] for line in strips.lines} == set(range(count // 4)) and count > 3
    check_picture(figure)


def test_a_record_whose_parts_are_longer_than_its_file_is_drawn_all_the_same() -> None:
    lying = disk(MIB, [], [(n * MIB, MIB, "data", str(n % 7)) for n in range(50)])
    lying.file_size = MIB // 2
    check_picture(StripFigure(lying))
