"""VMDK: disks of several files, packed grains, hostile descriptions, and headers that lie."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import pytest
from disks.asking import check_shape, patched, refused, survives, write
from samples import disks as samples

from labkit.disks import open_disk

BLOCK = b"x" * 4096
VMDK = samples.vmdk([BLOCK] * 2, [0, 1], 4096)
STREAM = samples.vmdk([BLOCK] * 2, [0, 1], 4096, stream=True)
FULL = b"\xff" * 8
HALF = struct.pack("<Q", 1 << 63)


def test_a_packed_grain_and_its_header_are_one_region(tmp_path: Path) -> None:
    with open_disk(write(tmp_path / "x", STREAM)) as disk:
        sizes = [region.size for region in disk.regions() if region.kind == "data"]
        assert sizes == [12 + len(zlib.compress(BLOCK))] * 2


def test_extents_of_all_kinds(tmp_path: Path) -> None:
    data = random.Random(0).randbytes(4096)
    write(tmp_path / "a.vmdk", data)
    write(tmp_path / "b.vmdk", samples.vmdk([b"s" * 4096, None], [0], 4096))
    lines = ['RW 8 FLAT "a.vmdk" 0', "RW 8 ZERO", 'RW 4 FLAT "a.vmdk" 4', 'RW 16 SPARSE "b.vmdk"']
    with open_disk(write(tmp_path / "x", samples.description("custom", lines))) as disk:
        want = data + bytes(4096) + data[2048:] + b"s" * 4096 + bytes(4096)
        assert disk.read(0, disk.capacity) == want and disk.read(4000, 9000) == want[4000:13000]
        assert disk.file_size == sum(path.stat().st_size for path in tmp_path.iterdir())
        check_shape(disk)


def flat(*extents: str) -> bytes:
    return samples.description("monolithicFlat", extents)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (flat('RW 1 FLAT "/etc/passwd" 0'), "outside its own folder"),
        (flat('RW 1 FLAT "../x" 0'), "outside its own folder"),
        (flat('RW 1 FLAT ".." 0'), "outside its own folder"),
        (flat('RW 1 FLAT "C:\\x" 0'), "outside its own folder"),
        (flat('RW 1 FLAT "link" 0'), "outside its own folder"),
        (flat('RW 1 FLAT "" 0'), "outside its own folder"),
        (flat('RW 1 FLAT "a\0b" 0'), "no name"),
        (flat('RW 1 FLAT "missing" 0'), "cannot be read"),
        (flat('RW 9 FLAT "small" 0'), "ends in the middle"),
        (flat('RW 1 FLAT "small" 9'), "ends in the middle"),
        (flat('RW 1 SPARSE "small"'), "does not begin with KDMV"),
        (flat('RW 1 SESPARSE "small"'), "not read further"),
        (flat('NOACCESS 1 FLAT "small" 0'), "not read further"),
        (flat(*['RW 1 FLAT "small" 0'] * 5000), "more than 4096"),
        (flat(), "of no extents"),
        (flat('RW 999999999999999 FLAT "small" 0'), "ends in the middle"),
    ],
)
def test_descriptions_that_are_refused(raw: bytes, words: str, tmp_path: Path) -> None:
    write(tmp_path / "small", bytes(512))
    (tmp_path / "link").symlink_to("/etc/passwd")
    refused(write(tmp_path / "x.vmdk", raw), words)


def test_words_of_a_description_are_one_safe_line(tmp_path: Path) -> None:
    parent = "p\x1b[2J" + "q" * 5000
    kind = "mono\x1b[31mlithic\u202e"
    data = samples.description(kind, ["RW 1 ZERO"], parent, "x=" + "9" * 9000)
    with open_disk(write(tmp_path / "x", data)) as disk:
        assert "\x1b" not in str(disk) and "\u202e" not in str(disk) and len(disk.parent) < 210


@pytest.mark.parametrize(
    "line",
    [
        "x =" + " " * 500_000 + '""y',
        "a" * 500_000,
        "RW " * 150_000,
        "RW 1 FLAT" + " " * 500_000 + "x",
    ],
)
def test_no_line_is_tried_again_and_again(line: str, tmp_path: Path) -> None:
    survives(write(tmp_path / "x", samples.description("x", [line])))  # minutes, if it were


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (patched(VMDK, (12, FULL)), "takes"),
        (patched(VMDK, (20, bytes(8))), "makes no sense"),
        (patched(VMDK, (20, b"\7")), "makes no sense"),
        (patched(VMDK, (44, bytes(4))), "makes no sense"),
        (patched(VMDK, (44, FULL[:4])), "makes no sense"),
        (patched(VMDK, (56, HALF)), "takes"),
        (patched(VMDK, (56, FULL)), "makes no sense"),
        (patched(VMDK, (28, HALF)), "takes"),
        (patched(VMDK, (5 * 512, FULL[:4])), "a table of the map"),
        (patched(VMDK, (6 * 512, FULL[:4])), "outside the file"),
        (patched(VMDK, (4, b"\x09")), "version 9"),
        (patched(STREAM, (77, b"\x07")), "compression 7"),
    ],
)
def test_headers_and_maps_that_lie(raw: bytes, words: str, tmp_path: Path) -> None:
    refused(write(tmp_path / "x", raw), words)
