"""VHD: sectors within a block, copies of the footer, and headers that lie."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from disks.asking import MIB, check_shape, patched, refused, write
from samples import disks as samples

from labkit.disks import open_disk

BLOCK = b"x" * 4096
VHD = samples.vhd([BLOCK] * 2, [0, 1], 4096)
FULL = b"\xff" * 8


@pytest.mark.parametrize("parent", ["", "base"])
def test_sectors_within_a_block(parent: str, tmp_path: Path) -> None:
    base = write(tmp_path / "base", b"u" * 8192)
    bits = "10110000"  # of the block's sectors, the first in the highest bit
    marks = bytes([int(bits, 2)]) + bytes(511)
    raw = samples.vhd([b"d" * 4096, None], [0], 4096, parent, marks)
    below = b"u" if parent else b"\0"
    want = b"".join((b"d" if bit == "1" else below) * 512 for bit in bits)
    with open_disk(write(tmp_path / "x", raw)) as disk, open_disk(base) as parent_disk:
        disk.set_parent(parent_disk)
        assert disk.read(0, 8192) == want + below * 4096
        kinds = [(extent.kind, extent.length // 512) for extent in check_shape(disk)]
        gap = "parent" if parent else "zero"
        rest = [(gap, 12)] if parent else [(gap, 4), ("parent", 8)]
        assert kinds == [("data", 1), (gap, 1), ("data", 2), *rest]
        assert disk.allocated == 4096


def test_a_bitmap_of_several_bytes_and_sectors(tmp_path: Path) -> None:
    block = b"".join(bytes([n + 1]) * 512 for n in range(16))
    raw = samples.vhd([block], [0], 8192, marks=b"\x80\x01" + bytes(510))
    with open_disk(write(tmp_path / "x", raw)) as disk:
        assert disk.read(0, 8192) == b"\1" * 512 + bytes(14 * 512) + b"\x10" * 512
    blocks = [bytes([n]) * 4 * MIB for n in (1, 2)]
    with open_disk(write(tmp_path / "x", samples.vhd(blocks, [1, 0], 4 * MIB))) as disk:
        assert disk.read(0, 8 * MIB) == b"".join(blocks)


def test_fixed(tmp_path: Path) -> None:
    data = random.Random(0).randbytes(4096)
    with open_disk(write(tmp_path / "x", samples.vhd_fixed(data))) as disk:
        assert (disk.format, disk.variant, disk.uuid) == ("VHD", "fixed", str(samples.UUID))
        assert disk.block_size == 0
        assert disk.read(0, 4096) == data and disk.allocated == 4096
        check_shape(disk)


def test_the_copy_of_a_missing_footer_is_used(tmp_path: Path) -> None:
    with open_disk(write(tmp_path / "x", VHD[:-512] + bytes(512))) as disk:
        assert disk.read(0, disk.capacity) == BLOCK * 2
        assert "copy at the beginning" in str(disk.notes)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (patched(VHD, (len(VHD) - 512 + 48, FULL), (0, b"-")), "makes no sense"),
        (patched(VHD, (544, bytes(4))), "makes no sense"),
        (patched(VHD, (544, b"\0\0\x10\1")), "makes no sense"),
        (patched(VHD, (540, FULL[:4])), "takes"),
        (patched(VHD, (528, FULL)), "takes"),
        (patched(VHD, (2048, b"\0\xff\xff\xff")), "a bitmap"),
        (patched(VHD, (512, b"-")), "makes no sense"),
    ],
)
def test_headers_and_maps_that_lie(raw: bytes, words: str, tmp_path: Path) -> None:
    refused(write(tmp_path / "x", raw), words)
