"""Virtual disks of every format, made by hand, by qemu-img, by VirtualBox; and hostile ones: one line of error."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import disks as c

from labkit.disks import Disk, Extent, Field, human, open_disk
from labkit.errors import LabError

MIB = 1 << 20
COUNT = itertools.count()
quick = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def refused(what: Path | Callable[[], object], *words: str) -> str:
    with pytest.raises(LabError) as error:
        everything(open_disk(what)) if isinstance(what, Path) else what()
    said = str(error.value)
    assert said.isprintable() and len(said) < 600 and said.endswith("."), said
    for word in words:
        assert word in said, (word, said)
    return said


def check_shape(disk: Disk) -> list[Extent]:
    """What holds for every disk; returns its extents."""
    extents, at = list(disk.extents()), 0
    for before, extent in zip([None, *extents], extents, strict=False):
        assert extent.start == at and extent.length > 0
        assert (extent.at is None) == (extent.kind in ("zero", "parent"))
        at += extent.length
        if before and before.kind == extent.kind != "compressed":  # else they were to be merged
            assert before.at is not None and before.at + before.length != extent.at
    assert at == disk.capacity
    at = 0
    for region in disk.regions():
        assert region.offset == at and region.size > 0
        assert region.kind in ("header", "map", "data", "other", "free")
        at += region.size
    assert at == disk.file_size
    for field in disk.fields:
        assert 0 <= field.offset <= field.offset + field.size <= disk.file_size
        assert f"{field.name}{field.value}{field.meaning}".isprintable()
    return extents


def everything(disk: Disk) -> None:
    """Ask all there is to ask."""
    with disk:
        assert all(line.isprintable() for line in str(disk).split("\n"))
        check_shape(disk)
        data = json.loads(json.dumps(disk.to_json()))
        assert Disk.from_json(data).to_json() == data
        disk.blocks()
        disk.read(0, min(disk.capacity, 4 * MIB))


def model(cells: list[Any], block: int, below: bytes = b"") -> bytes:
    parts = []
    for n, cell in enumerate(cells):
        under = below[n * block : (n + 1) * block] if cell is None else b""
        parts.append(cell if isinstance(cell, bytes) else under + bytes(block - len(under)))
    return b"".join(parts)


@st.composite
def disks(draw: st.DrawFn, name: str) -> tuple[list[Any], list[int]]:
    _, block, zeros, _ = c.MAKERS[name]
    kinds = ["data", "data", "none", *["zero"] * zeros]
    seeds = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4 if block >= MIB else 12))
    cells: list[Any] = [
        {"none": None, "zero": "zero"}.get(kind, random.Random(n).randbytes(8) * (block // 8))
        for n, kind in enumerate(seeds)
    ]
    return cells, draw(st.permutations(range(len(cells))))


@pytest.mark.parametrize("name", c.MAKERS)
def test_blocks_in_any_order(name: str, tmp_path: Path) -> None:
    make, block, _, _ = c.MAKERS[name]

    @quick
    @given(disks(name), st.data())
    def run(drawn: tuple[list[Any], list[int]], data: st.DataObject) -> None:
        cells, order = drawn
        raw = make(cells, order, block)
        with open_disk(write(tmp_path / "x", raw)) as disk:
            want = model(cells, block)
            assert (disk.format, disk.capacity, disk.block_size) == (
                name.split()[0],
                len(want),
                block,
            )
            assert disk.read(0, len(want)) == want
            start = data.draw(st.integers(0, len(want)))
            length = data.draw(st.integers(0, len(want) - start))
            assert disk.read(start, length) == want[start : start + length]
            for extent in check_shape(disk):
                for n in range(extent.start // block, (extent.start + extent.length) // block):
                    kind = (
                        "parent"
                        if cells[n] is None
                        else "zero"
                        if cells[n] == "zero"
                        else extent.kind
                    )
                    assert extent.kind == kind
                    if kind == "data":
                        at = (extent.at or 0) + n * block - extent.start
                        assert raw[at : at + block] == cells[n] and disk.blocks()[n] == at
            assert [at is not None for at in disk.blocks()] == [
                isinstance(cell, bytes) for cell in cells
            ]
            assert disk.allocated == block * sum(isinstance(cell, bytes) for cell in cells)
            assert not disk.notes
            data_json = disk.to_json()
            again = Disk.from_json(json.loads(json.dumps(data_json)))
            assert again.to_json() == data_json and str(again) == str(disk)
            assert (list(again.extents()), again.regions(), again.blocks()) == (
                list(disk.extents()),
                disk.regions(),
                disk.blocks(),
            )
            refused(lambda: again.read(0, 1), "recorded") if want else None

    run()


@pytest.mark.parametrize("name", c.MAKERS)
def test_parents(name: str, tmp_path: Path) -> None:
    make, block, zeros, names = c.MAKERS[name]
    below = random.Random(1).randbytes(3 * block - 512)
    cells = [None, b"x" * block, "zero" if zeros else None, None]
    path = write(tmp_path / "child", make(cells, [1, 0, 2, 3], block, parent=names))
    with open_disk(path) as disk:
        assert disk.variant == "differencing" and (
            disk.parent.endswith("base") or disk.parent == str(c.PARENT)
        )
        if name == "VHDX":
            refused(lambda: disk.read(0, 1), "differencing VHDX")
            assert disk.parent == f"{c.PARENT}, base" and disk.parent_path == tmp_path / "base"
            assert [at is None for at in disk.blocks()] == [True, False, True, True]
            return
        assert disk.read(block, block) == b"x" * block  # needs no parent
        refused(lambda: disk.read(0, 1), "needs its parent")
        base = write(tmp_path / "base", below)
        if name == "VDI":
            disk.set_parent(open_disk(base, raw=True))
        else:
            assert disk.parent_path == base
        assert disk.read(0, 4 * block) == model(cells, block, below)
        refused(lambda: disk.read(1, 4 * block), "ask for bytes it has")
    refused(lambda: disk.read(block, 1), "closed")
    with open_disk(base) as raw:
        refused(lambda: raw.set_parent(disk), "has no parent")


def test_a_parent_with_another_uuid_is_refused(tmp_path: Path) -> None:
    child = write(tmp_path / "child", c.vdi([None], [0], 4096, parent=True))
    other = write(tmp_path / "other", c.vdi([None], [0], 4096))
    with open_disk(child) as disk, open_disk(other) as parent:
        refused(lambda: disk.set_parent(parent), "give the right one", str(c.UUID), str(c.PARENT))
    write(tmp_path / "base", c.vhd([None], [0], 4096))
    with open_disk(write(tmp_path / "c.vhd", c.vhd([None], [0], 4096, parent="base"))) as disk:
        refused(lambda: disk.read(0, 1), "give the right one")


def test_a_parent_said_to_be_raw_is_raw(tmp_path: Path) -> None:
    base = write(tmp_path / "base", c.qcow2([b"a" * 512], [0], 512))
    for data in (
        c.qcow2([None] * 4, [], 512, parent="base", raw=True),
        c.qed([None], [], 4096, "base", raw=True),
    ):
        with open_disk(write(tmp_path / "child", data)) as disk:
            assert disk.read(0, 512) == base.read_bytes()[:512]
    with open_disk(write(tmp_path / "child", c.qcow2([None] * 4, [], 512, parent="base"))) as disk:
        assert disk.read(0, 512) == b"a" * 512


def test_parents_in_a_circle_and_without_end(tmp_path: Path) -> None:
    for name, parent in (("a", "b"), ("b", "a"), ("self", "self")):
        write(tmp_path / name, c.qcow2([None], [], 512, parent=parent))
    for name in ("a", "self"):
        with open_disk(tmp_path / name) as disk:
            refused(lambda: disk.read(0, 512), "circle")
    write(tmp_path / "0", c.qcow2([b"z" * 512], [0], 512))
    for n in range(1, 1200):
        write(tmp_path / str(n), c.qcow2([None], [], 512, parent=str(n - 1)))
    with open_disk(tmp_path / "150") as disk:
        assert disk.read(0, 512) == b"z" * 512
    with open_disk(tmp_path / "1199") as disk:
        refused(lambda: disk.read(0, 512), "more than 200")
    first = open_disk(write(tmp_path / "v", c.vdi([None], [], 4096, parent=True)))
    second = open_disk(write(tmp_path / "w", c.vdi([None], [], 4096, parent=True)))
    first.parent_uuid = second.parent_uuid = ""
    first.set_parent(second)
    second.set_parent(first)
    refused(lambda: first.read(0, 1), "circle")
    first.close(), second.close()


def test_opened_parents_are_closed_and_given_ones_are_not(tmp_path: Path) -> None:
    write(tmp_path / "base", b"b" * 512)
    path = write(tmp_path / "child", c.qcow2([None], [], 512, parent="base"))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with open_disk(path) as disk:
        disk.read(0, 512)
    with open_disk(tmp_path / "base") as base:
        with open_disk(path) as disk:
            disk.set_parent(base)
            assert disk.read(0, 512) == b"b" * 512
        assert base.read(0, 1) == b"b"
    refused(write(tmp_path / "bad", b"QFI\xfb" + bytes(600)))
    if before:
        assert len(os.listdir("/proc/self/fd")) == before


def test_the_fields_of_a_vdi(tmp_path: Path) -> None:
    with open_disk(
        write(tmp_path / "x.vdi", c.vdi([b"a" * MIB, None, "zero"], [0], MIB, parent=True))
    ) as disk:
        assert disk.summary() == (
            "VDI differencing, capacity 3 MiB, 1 of 3 blocks of 1 MiB allocated, file 1.0 MiB, "
            f"parent {c.PARENT}"
        )
        found = {field.name: field for field in disk.fields}
        assert found["signature"][:4] == (64, 4, "signature", "0x7F10DABE")
        assert found["map at"][:4] == (340, 4, "map at", "0x200 (512 bytes)")
        assert found["UUID"][:4] == (392, 16, "UUID", str(c.UUID)) and disk.uuid == str(c.UUID)
        assert (found["capacity"].value, found["type"].value, found["comment"].value) == (
            "3 MiB",
            "differencing",
            "a comment",
        )
        assert str(disk).split("\n")[0] == disk.summary() and repr(disk) == str(disk)
        assert [region.kind for region in disk.regions()] == [
            "header",
            "free",
            "map",
            "free",
            "data",
        ]


def test_a_block_with_extra_bytes_before_it(tmp_path: Path) -> None:
    cells = [b"a" * 4096, None, b"b" * 4096]
    with open_disk(write(tmp_path / "x", c.vdi(cells, [2, 0], 4096, extra=512))) as disk:
        assert disk.read(0, 3 * 4096) == model(cells, 4096)


@pytest.mark.parametrize("parent", ["", "base"])
def test_sectors_within_a_block(parent: str, tmp_path: Path) -> None:
    write(tmp_path / "base", b"u" * 8192)
    bits = "10110000"  # of the block's sectors, the first in the highest bit
    raw = c.vhd([b"d" * 4096, None], [0], 4096, parent, bytes([int(bits, 2)]) + bytes(511))
    want = b"".join((b"d" if bit == "1" else b"u" if parent else b"\0") * 512 for bit in bits)
    with open_disk(write(tmp_path / "x", raw)) as disk:
        assert disk.read(0, 8192) == want + (b"u" if parent else b"\0") * 4096
        kinds = [(extent.kind, extent.length // 512) for extent in check_shape(disk)]
        gap = "parent" if parent else "zero"
        assert kinds == [
            ("data", 1),
            (gap, 1),
            ("data", 2),
            *([(gap, 12)] if parent else [(gap, 4), ("parent", 8)]),
        ]
        assert disk.allocated == 4096


def test_a_bitmap_of_several_bytes_and_sectors(tmp_path: Path) -> None:
    raw = c.vhd(
        [b"".join(bytes([n + 1]) * 512 for n in range(16))],
        [0],
        8192,
        marks=b"\x80\x01" + bytes(510),
    )
    with open_disk(write(tmp_path / "x", raw)) as disk:
        assert disk.read(0, 8192) == b"\1" * 512 + bytes(14 * 512) + b"\x10" * 512
    cells = [bytes([n]) * 4 * MIB for n in (1, 2)]
    with open_disk(write(tmp_path / "x", c.vhd(cells, [1, 0], 4 * MIB))) as disk:
        assert disk.read(0, 8 * MIB) == b"".join(cells)


def test_a_vhdx_has_a_bitmap_after_every_so_many_blocks(tmp_path: Path) -> None:
    cells = [None] * 16 + ["zero"]  # of 256 MiB: 16 to a bitmap
    with open_disk(write(tmp_path / "x", c.vhdx(cells, [], 256 * MIB))) as disk:
        assert [*disk.extents()] == [
            Extent(0, 4096 * MIB, "parent", None),
            Extent(4096 * MIB, 256 * MIB, "zero", None),
        ]


def test_the_newer_header_of_a_vhdx_counts(tmp_path: Path) -> None:
    older = c.vhdx([b"a" * MIB], [0], MIB, log=c.UUID)[64 << 10 : 128 << 10]
    with open_disk(write(tmp_path / "x", patched(VHDX, (64 << 10, older)))) as disk:
        assert disk.read(0, 1) == b"\0" and disk.notes == []


def test_version_2_of_qcow2_has_no_zero_clusters(tmp_path: Path) -> None:
    for version, kind in ((2, "data"), (3, "zero")):
        raw = c.qcow2([b"z" * 512], [0], 512, version=version)
        with open_disk(write(tmp_path / "x", patched(raw, (1536 + 7, b"\1")))) as disk:
            assert [extent.kind for extent in disk.extents()] == [kind]


def test_a_packed_grain_and_its_header_are_one_region(tmp_path: Path) -> None:
    with open_disk(write(tmp_path / "x", STREAM)) as disk:
        found = [region for region in disk.regions() if region.kind == "data"]
        assert [region.size for region in found] == [12 + len(c.zlib.compress(BLOCK))] * 2


def test_a_log_to_replay_is_said(tmp_path: Path) -> None:
    with open_disk(write(tmp_path / "x", c.vhdx([b"a" * MIB], [0], MIB, log=c.UUID))) as disk:
        assert "log must be replayed" in str(disk) and disk.capacity == MIB
        refused(lambda: disk.read(0, 1), "log")


def test_fixed_and_flat(tmp_path: Path) -> None:
    data = random.Random(0).randbytes(4096)
    with open_disk(write(tmp_path / "x", c.vhd_fixed(data))) as disk:
        assert (disk.format, disk.variant, disk.block_size, disk.blocks()) == (
            "VHD",
            "fixed",
            0,
            [],
        )
        assert disk.read(0, 4096) == data and disk.allocated == 4096 and disk.uuid == str(c.UUID)
        check_shape(disk)
    with open_disk(write(tmp_path / "x", data)) as disk:
        assert (disk.format, disk.variant, disk.fields) == ("RAW", "flat", [])
        assert disk.read(9, 100) == data[9:109] and check_shape(disk) == [
            Extent(0, 4096, "data", 0)
        ]
    write(tmp_path / "a.vmdk", data)
    write(tmp_path / "b.vmdk", c.vmdk([b"s" * 4096, None], [0], 4096))
    lines = ['RW 8 FLAT "a.vmdk" 0', "RW 8 ZERO", 'RW 4 FLAT "a.vmdk" 4', 'RW 16 SPARSE "b.vmdk"']
    with open_disk(write(tmp_path / "x", c.description("custom", lines))) as disk:
        want = data + bytes(4096) + data[2048:] + b"s" * 4096 + bytes(4096)
        assert disk.read(0, disk.capacity) == want and disk.read(4000, 9000) == want[4000:13000]
        assert "used twice" not in " ".join(disk.notes) or len(lines) > 3
        assert disk.file_size == sum(path.stat().st_size for path in tmp_path.iterdir())
        check_shape(disk)


def lines(*extents: str) -> bytes:
    return c.description("monolithicFlat", extents)


@pytest.mark.parametrize(
    "data, words",
    [
        (lines('RW 1 FLAT "/etc/passwd" 0'), "outside its own folder"),
        (lines('RW 1 FLAT "../x" 0'), "outside its own folder"),
        (lines('RW 1 FLAT ".." 0'), "outside its own folder"),
        (lines('RW 1 FLAT "C:\\x" 0'), "outside its own folder"),
        (lines('RW 1 FLAT "link" 0'), "outside its own folder"),
        (lines('RW 1 FLAT "" 0'), "outside its own folder"),
        (lines('RW 1 FLAT "a\0b" 0'), "no name"),
        (lines('RW 1 FLAT "missing" 0'), "cannot be read"),
        (lines('RW 9 FLAT "small" 0'), "ends in the middle"),
        (lines('RW 1 FLAT "small" 9'), "ends in the middle"),
        (lines('RW 1 SPARSE "small"'), "does not begin with KDMV"),
        (lines('RW 1 SESPARSE "small"'), "not read further"),
        (lines('NOACCESS 1 FLAT "small" 0'), "not read further"),
        (lines(*['RW 1 FLAT "small" 0'] * 5000), "more than 4096"),
        (lines(), "of no extents"),
        (lines('RW 999999999999999 FLAT "small" 0'), "ends in the middle"),
    ],
)
def test_descriptions_that_are_refused(data: bytes, words: str, tmp_path: Path) -> None:
    write(tmp_path / "small", bytes(512))
    (tmp_path / "link").symlink_to("/etc/passwd")
    refused(write(tmp_path / "x.vmdk", data), words)


def test_not_a_disk(tmp_path: Path) -> None:
    refused(write(tmp_path / "empty", b""), "is empty")
    refused(tmp_path / "none", "No such file")
    refused(tmp_path / "a\0b", "makes no sense")
    refused(tmp_path / "x\n\x1b[31m", "No such file")
    refused(tmp_path, "is not a file")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        refused(tmp_path / "pipe", "is not a file")
    if os.path.exists("/dev/zero"):
        refused(Path("/dev/zero"), "is not a file")
    if getattr(os, "geteuid", lambda: 0)():
        write(tmp_path / "secret", b"x").chmod(0)
        refused(tmp_path / "secret", "ermission")


@pytest.mark.parametrize(
    "begin, words",
    [
        (b"QFI\xfb\0\0\0\1", "QCOW version 1"),
        (b"WithoutFreeSpace", "Parallels"),
        (b"WithouFreSpacExt", "Parallels"),
        (b"COWD", "old ESX"),
        (b"QFI\xfb\0\0\0\7", "version 7"),
        (bytes(64) + b"\x7f\x10\xda\xbe\0\0\0\0", "version 1"),
    ],
)
def test_recognised_but_not_read(begin: bytes, words: str, tmp_path: Path) -> None:
    refused(write(tmp_path / "x", begin + bytes(2048)), words)


def patched(data: bytes, *changes: tuple[int, bytes]) -> bytes:
    out = bytearray(data)
    for at, new in changes:
        out[at : at + len(new)] = new
    return bytes(out)


BLOCK = b"x" * 4096
VDI, VHD, QED = (
    c.vdi([BLOCK] * 2, [0, 1], 4096),
    c.vhd([BLOCK] * 2, [0, 1], 4096),
    c.qed([BLOCK] * 2, [0, 1], 4096),
)
VMDK, STREAM = c.vmdk([BLOCK] * 2, [0, 1], 4096), c.vmdk([BLOCK] * 2, [0, 1], 4096, stream=True)
QCOW2, PACKED = (
    c.qcow2([BLOCK[:512]] * 2, [0, 1], 512),
    c.qcow2([BLOCK] * 2, [0, 1], 4096, pack="zlib"),
)
VHDX = c.vhdx([bytes(MIB)], [0], MIB)
FULL8, FULL4, HALF = b"\xff" * 8, b"\xff" * 4, struct.pack("<Q", 1 << 63)


@pytest.mark.parametrize(
    "data, words",
    [
        (patched(VDI, (368, FULL8)), "makes no sense"),
        (patched(VDI, (368, HALF)), "makes no sense"),
        (patched(VDI, (376, bytes(4))), "makes no sense"),
        (patched(VDI, (376, b"\1\x10")), "makes no sense"),
        (patched(VDI, (76, b"\x09")), "type 9"),
        (patched(VDI, (384, FULL4)), "takes"),
        (patched(VDI, (340, FULL4)), "takes"),
        (patched(VDI, (512, b"\x09")), "outside the file"),
        (patched(VDI, (512, b"\xfd\xff\xff\xff")), "outside the file"),
        (patched(VDI, (344, FULL4)), "outside the file"),
        (patched(VHD, (len(VHD) - 512 + 48, FULL8), (0, b"-")), "makes no sense"),
        (patched(VHD, (544, bytes(4))), "makes no sense"),
        (patched(VHD, (544, b"\0\0\x10\1")), "makes no sense"),
        (patched(VHD, (540, FULL4)), "takes"),
        (patched(VHD, (528, FULL8)), "takes"),
        (patched(VHD, (2048, b"\0\xff\xff\xff")), "a bitmap"),
        (patched(VHD, (512, b"-")), "makes no sense"),
        (patched(VMDK, (12, FULL8)), "takes"),
        (patched(VMDK, (20, bytes(8))), "makes no sense"),
        (patched(VMDK, (20, b"\7")), "makes no sense"),
        (patched(VMDK, (44, bytes(4))), "makes no sense"),
        (patched(VMDK, (44, FULL4)), "makes no sense"),
        (patched(VMDK, (56, HALF)), "takes"),
        (patched(VMDK, (56, FULL8)), "makes no sense"),
        (patched(VMDK, (28, HALF)), "takes"),
        (patched(VMDK, (5 * 512, FULL4)), "a table of the map"),
        (patched(VMDK, (6 * 512, FULL4)), "outside the file"),
        (patched(VMDK, (4, b"\x09")), "version 9"),
        (patched(STREAM, (77, b"\x07")), "compression 7"),
        (patched(QCOW2, (24, FULL8)), "too few"),
        (
            patched(
                QCOW2,
                (
                    24,
                    HALF[::-1],
                ),
            ),
            "too few",
        ),
        (patched(QCOW2, (20, bytes(4))), "makes no sense"),
        (patched(QCOW2, (20, FULL4)), "makes no sense"),
        (patched(QCOW2, (36, FULL4), (24, b"\0\0\1")), "takes"),
        (patched(QCOW2, (40, FULL8)), "takes"),
        (patched(QCOW2, (1024, b"\0\xff\xff\xff")), "a table of the map"),
        (patched(QCOW2, (1536, b"\0\xff")), "outside"),
        (patched(QCOW2, (35, b"\1")), "encryption"),
        (patched(QCOW2, (35, b"\2")), "encryption"),
        (patched(QCOW2, (79, b"\4")), "data in another file"),
        (patched(QCOW2, (79, b"\x10")), "extended L2"),
        (patched(QCOW2, (72, b"\x80")), "feature 63"),
        (patched(QCOW2, (104, b"\1")), "compression 1"),
        (patched(QCOW2, (112, b"\x11\0\0\1\xff\0\0\0")), "longer than its cluster"),
        (patched(QCOW2, (8, FULL8)), "takes"),
        (patched(QED, (48, FULL8)), "makes no sense"),
        (patched(QED, (48, b"\0" * 7 + b"\x80")), "makes no sense"),
        (patched(QED, (4, bytes(4))), "makes no sense"),
        (patched(QED, (4, b"\1")), "makes no sense"),
        (patched(QED, (8, b"\x11")), "makes no sense"),
        (patched(QED, (16, b"\x80")), "features"),
        (patched(QED, (40, FULL8)), "takes"),
        (patched(QED, (8192, FULL8)), "outside"),
        (patched(QED, (4096, FULL8)), "a table of the map"),
        (patched(QED, (16, b"\1"), (56, FULL8)), "its parent's name"),
        (patched(VHDX, (65536, b"-"), (131072, b"-")), "no sound header"),
        (patched(VHDX, (65600, b"-"), (131172, b"-")), "no sound header"),
        (patched(VHDX, (196608, b"-"), (262144, b"-")), "no table of regions"),
        (patched(VHDX, (3 * MIB, b"-")), "does not begin"),
        (patched(VHDX, (3 * MIB + 65536, bytes(4))), "makes no sense"),
        (patched(VHDX, (3 * MIB + 65536, b"\1")), "makes no sense"),
        (patched(VHDX, (3 * MIB + 65544, FULL8)), "makes no"),
        (patched(VHDX, (3 * MIB + 65549, b"\1")), "too short"),
        (patched(VHDX, (2 * MIB, b"\6" + FULL8[1:])), "outside"),
        (patched(VHDX, (3 * MIB + 32, b"-")), "needs metadata"),
    ],
)
def test_headers_and_maps_that_lie(data: bytes, words: str, tmp_path: Path) -> None:
    refused(write(tmp_path / "x", data), words)


def test_a_sound_copy_of_a_header_is_used(tmp_path: Path) -> None:
    for data in (
        patched(VHDX, (131072, b"-")),
        patched(VHDX, (196608, b"-")),
        VHD[:-512] + bytes(512),
        patched(VHD, (len(VHD) - 500, b"-")),
    ):
        with open_disk(write(tmp_path / "x", data)) as disk:
            disk.read(0, disk.capacity)
    assert "copy at the beginning" in str(disk.notes)


def test_two_blocks_at_one_place(tmp_path: Path) -> None:
    data = patched(c.vdi([b"a" * 4096, b"b" * 4096], [0, 1], 4096), (516, bytes(4)))
    with open_disk(write(tmp_path / "x", data)) as disk:
        assert disk.read(0, 8192) == b"a" * 8192
        assert disk.notes == [
            "1 piece(s) of the file are used twice, first at byte 1024: is the map damaged?"
        ]
        assert disk.notes[0] in str(disk) and disk.to_json()["notes"] == disk.notes
        check_shape(disk)


def test_a_name_is_safe_to_print(tmp_path: Path) -> None:
    with open_disk(
        write(tmp_path / "x\n\x1b[31m", c.qcow2([None], [], 512, parent="y\x1b"))
    ) as disk:
        refused(lambda: disk.read(0, 1), "needs its parent")
        refused(lambda: disk.read(0, 999), "ask for bytes")
        assert disk.to_json()["name"].isprintable()


def test_the_map_of_a_file_cut_short_is_said_with_its_fields(tmp_path: Path) -> None:
    with open_disk(write(tmp_path / "x", VDI[:-1])) as disk:
        assert "cannot be drawn" in str(disk) and "0x7F10DABE" in str(disk)
        assert disk.read(0, 4096) == BLOCK


def survives(path: Path) -> None:
    """An answer or one line, whatever is in the file."""
    try:
        disk = open_disk(path)
    except LabError as error:
        assert str(error).isprintable()
        return
    with disk:
        for ask in (
            str,
            check_shape,
            Disk.to_json,
            Disk.blocks,
            lambda disk: disk.read(0, min(disk.capacity, MIB)),
            lambda disk: disk.read(max(0, disk.capacity - 5000), min(disk.capacity, 5000)),
        ):
            try:
                ask(disk)
            except LabError as error:
                assert str(error).isprintable()


@pytest.mark.parametrize("name", c.MAKERS)
def test_cut_anywhere_and_flipped_anywhere(name: str, tmp_path: Path) -> None:
    make, block, _, parent = c.MAKERS[name]
    cells = [b"ab" * (block // 2), None, b"c" * block]
    whole = make(cells, [2, 0], block)
    child = make(cells, [2, 0], block, parent=parent)
    spots = [
        n
        for n in range(0, len(whole), 64)
        if any(whole[n : n + 64])
        and whole[n : n + 64] != b"c" * 64
        and whole[n : n + 64] != b"ab" * 32
    ]
    write(tmp_path / "base", whole)

    @settings(
        max_examples=20 if block >= MIB else 70,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        raw = bytearray(data.draw(st.sampled_from([whole, child])))
        if data.draw(st.booleans()):
            del raw[
                data.draw(
                    st.integers(0, len(raw))
                    if block < MIB
                    else st.sampled_from([*spots, len(raw) - 1])
                ) :
            ]
        for _ in range(data.draw(st.integers(0, 4))):
            at = data.draw(st.sampled_from(spots)) + data.draw(st.integers(0, 63))
            if at < len(raw):
                raw[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
        survives(write(tmp_path / "x", bytes(raw)))

    run()


@pytest.mark.parametrize("name", ["VDI", "VHD", "VMDK", "VMDK stream", "QCOW2", "QED"])
def test_cut_at_every_place(name: str, tmp_path: Path) -> None:
    make, block, _, _ = c.MAKERS[name]
    whole = make([b"a" * block], [0], block)
    for size in [*range(0, 700, 11), *range(700, len(whole), 397)]:
        survives(write(tmp_path / "x", whole[:size]))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    begin=st.sampled_from(
        [
            b"QFI\xfb\0\0\0\3",
            b"QED\0",
            b"KDMV",
            bytes(64) + b"\x7f\x10\xda\xbe\1\0\1\0",
            b"vhdxfile",
            b"conectix",
            b"# Disk DescriptorFile\n",
        ]
    ),
    rest=st.binary(max_size=2000),
)
def test_any_bytes(begin: bytes, rest: bytes, tmp_path: Path) -> None:
    survives(write(tmp_path / "x", begin + rest))


def test_words_of_a_description_are_one_safe_line(tmp_path: Path) -> None:
    data = c.description(
        "mono\x1b[31mlithic\u202e", ["RW 1 ZERO"], "p\x1b[2J" + "q" * 5000, "x=" + "9" * 9000
    )
    with open_disk(write(tmp_path / "x", data)) as disk:
        assert "\x1b" not in str(disk) and "\u202e" not in str(disk) and len(disk.parent) < 210


def test_a_description_takes_no_time(tmp_path: Path) -> None:
    started = time.process_time()
    for line in (
        "x =" + " " * 500_000 + '""y',
        "a" * 500_000,
        "RW " * 150_000,
        "RW 1 FLAT" + " " * 500_000 + "x",
    ):
        survives(write(tmp_path / "x", c.description("x", [line])))
    assert time.process_time() - started < 3


PEAK = """
import resource, sys, time
from labkit.errors import LabError
from labkit.disks import open_disk
start = time.process_time()
with open_disk(sys.argv[1]) as disk:
    try:
        count = sum(1 for _ in disk.extents())
        disk.read(0, min(disk.capacity, 65536))
    except LabError as error:
        print(error, file=sys.stderr)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(time.process_time() - start, peak / 1024)
"""


def peak(path: Path) -> tuple[float, float, str]:
    """Seconds and MB of reading a map and the first bytes in a process of its own, and its error."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory, done.stderr


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="measured where Linux tells")
def test_bombs_and_tables_larger_than_the_file(tmp_path: Path) -> None:
    bomb = [bytes(200 * MIB)]  # in the place of a block of 2 MiB
    for data in (
        c.vmdk(bomb, [0], 2 * MIB, stream=True),
        c.qcow2(bomb, [0], 2 * MIB, pack="zlib"),
        c.qcow2(bomb, [0], 2 * MIB, pack="zstd"),
    ):
        seconds, memory, _ = peak(write(tmp_path / "x", data))
        assert seconds < 2 and memory < 80
    at = struct.unpack_from("<I", STREAM, 6 * 512)[0] * 512
    refused(write(tmp_path / "x", patched(STREAM, (at + 8, FULL4))), "is damaged")
    # a sparse file of 1 TiB that says it is all map, one table used a million times
    for data, spot in (
        (patched(QCOW2, (24, b"\0\0\0\x7f"), (36, b"\x00\xff\xff\xff")), 40),
        (patched(VDI, (384, b"\xff\xff\xff\x7f")), 0),
    ):
        with open(write(tmp_path / "x", data), "r+b") as file:
            file.truncate(1 << 40)
        assert spot is not None
        refused(tmp_path / "x")
    tables = 1 << 20
    raw = patched(
        QCOW2,
        (24, struct.pack(">Q", tables * 64 * 512)),
        (36, struct.pack(">I", tables)),
        (40, struct.pack(">Q", 4096)),
    )
    refused(
        write(tmp_path / "x", raw.ljust(4096) + struct.pack(">Q", 1536) * tables),
        "more than this reader takes",
    )


def test_speed_of_a_large_map(tmp_path: Path) -> None:
    count = 10 << 10
    head = bytearray(c.vdi([None], [], MIB))
    struct.pack_into("<II", head, 340, 512, up := c.up(512 + 4 * count, MIB))
    struct.pack_into("<QIIII", head, 368, count * MIB, MIB, 0, count, count // 2)
    order = random.Random(3).sample(range(count // 2), count // 2)
    table = [order[n // 2] if n % 2 else 0xFFFFFFFF for n in range(count)]
    path = write(tmp_path / "x.vdi", bytes(head[:512]) + struct.pack(f"<{count}I", *table))
    with path.open("r+b") as file:
        file.truncate(up + count // 2 * MIB)
    started = time.process_time()
    with open_disk(path) as disk:
        assert len(list(disk.extents())) == count
        assert time.process_time() - started < 0.5
        assert (disk.capacity, disk.allocated) == (10 << 30, 5 << 30)
        data = disk.to_json()
        assert len(data["map"]) == 4096 and data["map_truncated"] and len(data["regions"]) <= 4096
        assert Disk.from_json(data).to_json() == data


def test_adjacent_blocks_are_one_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [bytes([n]) * 4096 for n in range(64)]
    with open_disk(write(tmp_path / "x", c.vdi(cells, range(64), 4096))) as disk:
        strip, asked = disk.strip, list[int]()
        assert strip
        into = strip.into
        monkeypatch.setattr(
            strip, "into", lambda at, view: asked.append(len(view)) or into(at, view)
        )
        assert disk.read(0, 64 * 4096) == b"".join(cells) and asked == [64 * 4096]


@pytest.mark.parametrize(
    "data", [{}, {"name": 1}, {"name": "x", "fields": 3}, {"name": "x", "format": "y"}]
)
def test_a_broken_record(data: dict[str, Any]) -> None:
    refused(lambda: Disk.from_json(data), "no record of a disk")


def test_sizes_as_text() -> None:
    assert [*map(human, (0, 1023, 1024, 1536, MIB, 5 * MIB + 1, 1 << 63, (1 << 64) - 1))] == [
        "0 bytes",
        "1023 bytes",
        "1 KiB",
        "1.5 KiB",
        "1 MiB",
        "5.0 MiB",
        "8 EiB",
        "16.0 EiB",
    ]
    assert Field(0, 1, "a", "b", "c")._asdict() == {
        "offset": 0,
        "size": 1,
        "name": "a",
        "value": "b",
        "meaning": "c",
    }


# -- oracles


def run(*argv: str | Path, env: dict[str, str] | None = None) -> str:
    return subprocess.run(
        [*map(str, argv)], check=True, capture_output=True, text=True, env=env
    ).stdout


QEMU = {
    "raw": ("raw", ""),
    "qcow2 v2": ("qcow2", "compat=0.10"),
    "qcow2": ("qcow2", ""),
    "qcow2 small": ("qcow2", "cluster_size=4096"),
    "qed": ("qed", ""),
    "vdi": ("vdi", ""),
    "vdi static": ("vdi", "static=on"),
    "vpc": ("vpc", "force_size=on"),
    "vpc by geometry": ("vpc", ""),
    "vpc fixed": ("vpc", "subformat=fixed,force_size=on"),
    "vhdx": ("vhdx", ""),
    "vhdx fixed": ("vhdx", "subformat=fixed"),
    "vhdx 1M": ("vhdx", "block_size=1M"),
    **{
        f"vmdk {kind}": ("vmdk", f"subformat={kind}")
        for kind in (
            "monolithicSparse",
            "monolithicFlat",
            "twoGbMaxExtentSparse",
            "twoGbMaxExtentFlat",
        )
    },
    "vmdk zeroed": ("vmdk", "zeroed_grain=on"),
}


def same(path: Path, kind: str) -> Disk:
    """Our bytes and map are QEMU's."""
    out = path.with_suffix(".oracle")
    run("qemu-img", "convert", "-f", kind, "-O", "raw", path, out)
    info = json.loads(run("qemu-img", "info", "-f", kind, "--output=json", path))
    disk = open_disk(path)
    want = out.read_bytes()
    assert disk.format == kind.upper().replace("VPC", "VHD") and info["virtual-size"] == len(want)
    assert disk.capacity == len(want)
    assert disk.read(0, len(want)) == want
    for extent in check_shape(disk):
        if extent.kind in ("zero", "parent") and not disk.parent:
            assert not want[extent.start : extent.start + extent.length].strip(b"\0")
    if kind not in ("raw", "vhdx"):  # of a VHDX QEMU tells no map
        known = json.loads(run("qemu-img", "map", "-f", kind, "--output=json", path))
        ours = [
            (extent.start, extent.length, extent.at)
            for extent in disk.extents()
            if extent.kind == "data"
        ]
        known = [row for row in known if row["data"] and row["depth"] == 0]
        theirs = [(row["start"], row["length"], row["offset"]) for row in known if "offset" in row]
        if disk.format != "VMDK":  # QEMU tells its places by file
            assert ours == joined(theirs)
        ours = [
            (extent.start, extent.length, None)
            for extent in disk.extents()
            if extent.at is not None
        ]
        theirs = [(row["start"], row["length"], None) for row in known]
        assert joined(ours) == joined(theirs)
    return disk


def joined(rows: list[tuple[int, int, int | None]]) -> list[tuple[int, int, int | None]]:
    out: list[tuple[int, int, int | None]] = []
    for start, length, at in rows:
        if (
            out
            and out[-1][0] + out[-1][1] == start
            and (at is None or (out[-1][2] or 0) + out[-1][1] == at)
        ):
            out[-1] = out[-1][0], out[-1][1] + length, out[-1][2]
        else:
            out.append((start, length, at))
    return out


@pytest.mark.qemu
@pytest.mark.parametrize("name", QEMU)
def test_what_qemu_writes(name: str, tmp_path: Path) -> None:
    kind, options = QEMU[name]

    @settings(max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.permutations(range(7)))
    def check(order: list[int]) -> None:
        shutil.rmtree(tmp_path / "d", ignore_errors=True)
        (tmp_path / "d").mkdir()
        path = tmp_path / "d" / "disk"
        run(
            "qemu-img",
            "create",
            "-q",
            "-f",
            kind,
            *(["-o", options] if options else []),
            path,
            "12M",
        )
        writes = [f"write -P {n + 1} {n * 1700 // 4 * 4}k {(n % 3 + 1) * 60}k" for n in order]
        run("qemu-io", "-f", kind, *(word for line in writes for word in ("-c", line)), path)
        with same(path, kind) as disk:
            assert disk.fields or kind == "raw"

    check()


@pytest.mark.qemu
@pytest.mark.parametrize(
    "kind, options",
    [
        ("qcow2", "compression_type=zlib"),
        ("qcow2", "compression_type=zstd"),
        ("vmdk", "subformat=streamOptimized"),
    ],
)
def test_what_qemu_compresses(kind: str, options: str, tmp_path: Path) -> None:
    data = bytearray(6 * MIB + 512)
    data[100:3000], data[2 * MIB : 3 * MIB], data[-100:] = (
        b"a" * 2900,
        random.Random(1).randbytes(MIB),
        b"e" * 100,
    )
    source = write(tmp_path / "raw", bytes(data))
    run(
        "qemu-img",
        "convert",
        "-f",
        "raw",
        "-c",
        "-O",
        kind,
        "-o",
        options,
        source,
        tmp_path / "disk",
    )
    with same(tmp_path / "disk", kind) as disk:
        assert (
            any(extent.kind == "compressed" for extent in disk.extents())
            and disk.read(0, 6 * MIB) == data[: 6 * MIB]
        )
        assert disk.notes == []


@pytest.mark.qemu
@pytest.mark.parametrize("kind", ["qcow2", "qed", "vmdk"])
def test_backing_files_of_qemu(kind: str, tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("a", "b", "c")]
    for n, path in enumerate(names):
        below = ["-F", kind, "-b", names[n - 1].name] if n else []
        run("qemu-img", "create", "-q", "-f", kind, *below, path, *([] if n else ["4M"]))
        run("qemu-io", "-f", kind, "-c", f"write -P {n + 1} {n * 100}k 500k", path)
        if kind != "vmdk":
            run("qemu-io", "-f", kind, "-c", f"write -z {n * 100 + 128}k 128k", path)
    with same(names[2], kind) as disk:
        assert (
            disk.variant == "differencing"
            and disk.parent.endswith("b")
            and disk.parent_path == names[1]
        )


@pytest.fixture
def box(tmp_path: Path) -> Callable[..., str]:
    """VBoxManage with a registry of its own."""
    own = {
        "VBOX_USER_HOME": str(tmp_path / "vbox"),
        "VBOX_IPC_SOCKETID": f"d{next(COUNT)}-{os.getpid()}",
    }
    return lambda *argv: run("VBoxManage", *argv, env=os.environ | own | {"LC_ALL": "C.UTF-8"})


def told(box: Callable[..., str], path: Path) -> dict[str, str]:
    """What VBoxManage says of a medium."""
    rows = (
        line.partition(":")
        for line in box("showmediuminfo", "disk", path).split("\n")
        if ":" in line
    )
    return {key.strip(): value.strip() for key, _, value in rows}


@pytest.mark.virtualbox
@pytest.mark.parametrize(
    "kind, variant",
    [
        ("VDI", "Standard"),
        ("VDI", "Fixed"),
        ("VHD", "Standard"),
        ("VHD", "Fixed"),
        ("VMDK", "Standard"),
        ("VMDK", "Fixed"),
        ("VMDK", "Split2G"),
        ("VMDK", "Stream"),
    ],
)
def test_what_virtualbox_writes(
    kind: str, variant: str, tmp_path: Path, box: Callable[..., str]
) -> None:
    data = bytearray(8 * MIB)
    for n in (0, 3, 5):
        data[n * MIB + 512 : n * MIB + 70000] = random.Random(n).randbytes(69488)
    source, disk_path = write(tmp_path / "raw.img", bytes(data)), tmp_path / f"disk.{kind.lower()}"
    box("convertfromraw", source, disk_path, "--format", kind, "--variant", variant)
    info = told(box, disk_path)
    with open_disk(disk_path) as disk:
        assert disk.read(0, disk.capacity) == data
        assert disk.uuid == info["UUID"] and info["Capacity"] == f"{disk.capacity // MIB} MBytes"
        assert (
            disk.format == info["Storage format"]
            and not disk.parent
            and info["Parent UUID"] == "base"
        )
        assert (
            disk.variant
            in {
                "Standard": ["dynamic"],
                "Fixed": ["fixed", "flat"],
                "Split2G": ["split", "dynamic"],
                "Stream": ["streamOptimized"],
            }[variant]
        )
        check_shape(disk)
        assert disk.notes == []


@pytest.mark.virtualbox
@pytest.mark.parametrize("kind", ["VDI", "VHD", "VMDK"])
def test_a_chain_of_snapshots(kind: str, tmp_path: Path, box: Callable[..., str]) -> None:
    base, ending = tmp_path / f"base.{kind.lower()}", kind.lower()
    source = write(tmp_path / "raw.img", random.Random(9).randbytes(4 * MIB))
    box("convertfromraw", source, base, "--format", kind)
    box("createvm", "--name", "m", "--register", "--basefolder", tmp_path / "vms")
    box("storagectl", "m", "--name", "S", "--add", "sata")
    box(
        "storageattach",
        "m",
        "--storagectl",
        "S",
        "--port",
        "0",
        "--device",
        "0",
        "--type",
        "hdd",
        "--medium",
        base,
    )
    box("snapshot", "m", "take", "one")
    box("snapshot", "m", "take", "two")
    paths = [base, *(tmp_path / "vms" / "m" / "Snapshots").glob(f"*.{ending}")]
    found = {disk.uuid: disk for disk in map(open_disk, paths)}
    assert len(found) == 3
    for disk in found.values():
        info = told(box, disk.path)
        assert info["UUID"] == disk.uuid and info["Parent UUID"] == (disk.parent_uuid or "base")
        assert disk.variant == ("dynamic" if disk.path == base else "differencing")
        assert disk.allocated == 4 * MIB * (disk.path == base)
        if disk.parent:
            disk.set_parent(found[disk.parent_uuid])
    last = next(
        disk
        for disk in found.values()
        if disk.uuid not in [other.parent_uuid for other in found.values()]
    )
    assert last.read(0, 4 * MIB) == source.read_bytes()
    # write guest data into both differences by hand, and let VirtualBox resolve the chain
    for n, disk in enumerate((last, found[last.parent_uuid])):
        patch(disk, kind, n)
    box("clonemedium", "disk", last.uuid, tmp_path / "out.img", "--format", "RAW")
    with open_disk(last.path) as disk, open_disk(found[last.parent_uuid].path) as middle:
        middle.set_parent(found[middle.parent_uuid])
        disk.set_parent(middle)
        got = disk.read(0, 4 * MIB)
        assert got == (tmp_path / "out.img").read_bytes() != source.read_bytes()
        assert {extent.kind for extent in check_shape(disk)} >= {"data", "parent"}
    for disk in found.values():
        disk.close()


def patch(disk: Disk, kind: str, n: int) -> None:
    """Put a block into an empty difference, as the format's specification says."""
    raw, fill = bytearray(disk.path.read_bytes()), bytes([0x40 + n])
    if kind == "VDI":  # block n + 1; block 3 are zeros
        at, data = struct.unpack_from("<II", raw, 340)
        c.put(raw, data, fill * MIB)
        struct.pack_into("<I", raw, at + 4 * (n + 1), 0)
        struct.pack_into("<I", raw, at + 12, 0xFFFFFFFE)
        struct.pack_into("<I", raw, 388, 1)
    elif kind == "VHD":  # block n, but only some of its sectors
        foot = bytes(raw[-512:])
        at = struct.unpack_from(">Q", raw, 512 + 16)[0]
        start = c.up(len(raw) - 512, 512)
        del raw[-512:]
        c.put(raw, start, b"\xa5" * 512 + fill * (2 * MIB))
        struct.pack_into(">I", raw, at + 4 * n, start // 512)
        raw += foot
    else:  # grain 5 + n
        start = c.up(len(raw), 65536)
        c.put(raw, start, fill * 65536)
        for at in struct.unpack_from(
            "<QQ", raw, 48
        ):  # VirtualBox refuses a table that its copy does not equal
            table = struct.unpack_from("<I", raw, at * 512)[0] * 512
            struct.pack_into("<I", raw, table + 4 * (5 + n), start // 512)
    disk.path.write_bytes(raw)


@pytest.mark.qemu
def test_snapshots_inside_a_qcow2(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "4M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 1M", path)
    run("qemu-img", "snapshot", "-c", "one", path)
    run("qemu-io", "-f", "qcow2", "-c", "write -P 2 0 128k", path)
    with same(path, "qcow2") as disk:
        assert "1 snapshot(s) inside" in str(disk)
        assert {region.kind for region in disk.regions()} == {"header", "map", "data", "other"}


@pytest.mark.qemu
@pytest.mark.parametrize("kind", ["vdi", "qcow2", "qed", "vmdk", "vpc", "vhdx", "raw"])
def test_a_header_is_read_as_fast_as_qemu_img_does(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "disk"
    run("qemu-img", "create", "-q", "-f", kind, path, "10G")
    ours, theirs = [], []
    for _ in range(7):
        started = time.perf_counter()
        with open_disk(path):
            ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        run("qemu-img", "info", path)
        theirs.append(time.perf_counter() - started)
    assert min(ours) < min(theirs)
