"""Disks of every format, made by hand; and hostile ones: one line of error."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from disks.asking import (
    check_shape,
    in_one_folder,
    model,
    refused,
    survives,
    write,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import disks as samples

from labkit.disks import Disk, Extent, open_disk

Drawn = tuple[list[samples.SampleBlock], list[int]]


@st.composite
def disks(draw: st.DrawFn, maker: samples.Maker) -> Drawn:
    """Blocks, and the order in which they were written."""
    kinds = ["data", "data", "none", *(["zero"] if maker.zeros else [])]
    drawn = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=12))
    content = {"none": None, "zero": "zero"}
    blocks: list[samples.SampleBlock] = [
        content.get(kind, random.Random(n).randbytes(8) * (maker.size // 8))
        for n, kind in enumerate(drawn)
    ]
    return blocks, draw(st.permutations(range(len(blocks))))


@pytest.mark.parametrize("name", samples.MAKERS)
def test_blocks_in_any_order(name: str, tmp_path: Path) -> None:
    maker = samples.MAKERS[name]

    @settings(in_one_folder, max_examples=12)
    @given(disks(maker), st.data())
    def run(drawn: Drawn, data: st.DataObject) -> None:
        blocks, order = drawn
        raw = maker.make(blocks, order, maker.size)
        want = model(blocks, maker.size)
        with open_disk(write(tmp_path / "x", raw)) as disk:
            assert disk.format == name.split()[0]
            assert (disk.capacity, disk.block_size) == (len(want), maker.size)
            if maker.unpack:
                assert not any(want) or refused(lambda: disk.read(0, len(want)), "qemu-img")
            else:
                start = data.draw(st.integers(0, len(want)))
                length = data.draw(st.integers(0, len(want)))
                assert disk.read(start, length) == want[start : start + length].ljust(length, b"\0")
            check_places(disk, raw, blocks, maker.unpack)
            assert not disk.notes
            check_record(disk)

    run()


def check_places(
    disk: Disk, raw: bytes, blocks: Sequence[samples.SampleBlock], unpack: samples.Unpacker | None
) -> None:
    """Each block is of the kind, and at the place, where it was put."""
    size = disk.block_size
    for extent in check_shape(disk):
        for n in range(extent.start // size, (extent.start + extent.length) // size):
            if extent.at is None:
                assert extent.kind == (blocks[n] or "parent")
            else:
                found = raw[extent.at + n * size - extent.start :]
                assert (unpack(found) if unpack else found[:size]) == blocks[n]
                assert extent.kind == ("compressed" if unpack else "data")
    assert disk.allocated == size * sum(isinstance(block, bytes) for block in blocks)


def check_record(disk: Disk) -> None:
    """What a recording holds is the disk, but for its bytes."""
    data = disk.to_json()
    again = Disk.from_json(json.loads(json.dumps(data)))
    assert again.to_json() == data and str(again) == str(disk)
    assert list(again.extents()) == list(disk.extents())
    assert again.regions() == disk.regions()
    refused(lambda: again.read(0, 1), "is not read here")


def test_raw_is_what_is_nothing_else(tmp_path: Path) -> None:
    data = random.Random(0).randbytes(4096)
    with open_disk(write(tmp_path / "x", data)) as disk:
        assert (disk.format, disk.variant, disk.fields) == ("RAW", "flat", [])
        assert disk.read(9, 100) == data[9:109]
        assert check_shape(disk) == [Extent(0, 4096, "data", 0)]
    path = write(tmp_path / "x", samples.vdi([], [], 4096))
    with open_disk(path, raw=True) as disk:
        assert (disk.format, disk.read(64, 4)) == ("RAW", bytes.fromhex("7f10dabe"))


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
    ("begin", "words"),
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


@pytest.mark.parametrize("name", samples.MAKERS)
def test_cut_anywhere_and_flipped_anywhere(name: str, tmp_path: Path) -> None:
    maker = samples.MAKERS[name]
    blocks = [b"ab" * (maker.size // 2), None, b"c" * maker.size]
    whole = maker.make(blocks, [2, 0], maker.size)
    child = maker.make(blocks, [2, 0], maker.size, parent=maker.parent)
    dull = (bytes(64), b"c" * 64, b"ab" * 32)
    spots = [at for at in range(0, len(whole), 64) if whole[at : at + 64] not in dull]
    write(tmp_path / "base", whole)

    @settings(in_one_folder, max_examples=70)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        raw = bytearray(data.draw(st.sampled_from([whole, child])))
        if data.draw(st.booleans()):
            del raw[data.draw(st.integers(0, len(raw))) :]
        for _ in range(data.draw(st.integers(0, 4))):
            at = data.draw(st.sampled_from(spots)) + data.draw(st.integers(0, 63))
            if at < len(raw):
                raw[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
        survives(write(tmp_path / "x", bytes(raw)))

    run()


@pytest.mark.parametrize("name", ["VDI", "VHD", "VMDK", "VMDK stream", "QCOW2"])
def test_cut_at_every_place(name: str, tmp_path: Path) -> None:
    maker = samples.MAKERS[name]
    whole = maker.make([b"a" * maker.size], [0], maker.size)
    for size in [*range(0, 700, 11), *range(700, len(whole), 397)]:
        survives(write(tmp_path / "x", whole[:size]))


BEGINNINGS = [
    b"QFI\xfb\0\0\0\3",
    b"KDMV",
    bytes(64) + b"\x7f\x10\xda\xbe\1\0\1\0",
    b"conectix",
    b"# Disk DescriptorFile\n",
]


@settings(in_one_folder, max_examples=60)
@given(begin=st.sampled_from(BEGINNINGS), rest=st.binary(max_size=2000))
def test_any_bytes(begin: bytes, rest: bytes, tmp_path: Path) -> None:
    survives(write(tmp_path / "x", begin + rest))
