"""QCOW2: its versions, features that are refused, bombs, and headers that lie."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from disks.asking import patched, refused, write
from samples import disks as samples

from labkit.disks import open_disk

QCOW2 = samples.qcow2([b"x" * 512] * 2, [0, 1], 512)
FULL = b"\xff" * 8


def test_version_2_has_no_zero_clusters(tmp_path: Path) -> None:
    for version, kind in ((2, "data"), (3, "zero")):
        raw = samples.qcow2([b"z" * 512], [0], 512, version=version)
        with open_disk(write(tmp_path / "x", patched(raw, (1536 + 7, b"\1")))) as disk:
            assert [extent.kind for extent in disk.extents()] == [kind]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (patched(QCOW2, (24, FULL)), "too few"),
        (patched(QCOW2, (24, struct.pack(">Q", 1 << 63))), "too few"),
        (patched(QCOW2, (20, bytes(4))), "makes no sense"),
        (patched(QCOW2, (20, FULL[:4])), "makes no sense"),
        (patched(QCOW2, (36, FULL[:4]), (24, b"\0\0\1")), "takes"),
        (patched(QCOW2, (40, FULL)), "takes"),
        (patched(QCOW2, (1024, b"\0\xff\xff\xff")), "a table of the map"),
        (patched(QCOW2, (1536, b"\0\xff")), "outside"),
        (patched(QCOW2, (35, b"\1")), "encryption"),
        (patched(QCOW2, (35, b"\2")), "encryption"),
        (patched(QCOW2, (79, b"\4")), "data in another file"),
        (patched(QCOW2, (79, b"\x10")), "extended L2"),
        (patched(QCOW2, (72, b"\x80")), "feature 63"),
        (patched(QCOW2, (104, b"\1")), "compression 1"),
        (patched(QCOW2, (112, b"\x11\0\0\1\xff\0\0\0")), "longer than its cluster"),
        (patched(QCOW2, (8, FULL)), "takes"),
    ],
)
def test_headers_and_maps_that_lie(raw: bytes, words: str, tmp_path: Path) -> None:
    refused(write(tmp_path / "x", raw), words)


def test_a_sparse_file_that_says_it_is_all_map(tmp_path: Path) -> None:
    raw = patched(QCOW2, (24, b"\0\0\0\x7f"), (36, b"\x00\xff\xff\xff"))
    path = write(tmp_path / "x", raw)
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    refused(path, "longer than this reader takes")


def test_one_table_used_a_million_times(tmp_path: Path) -> None:
    tables = 1 << 20
    raw = patched(
        QCOW2,
        (24, struct.pack(">Q", tables * 64 * 512)),
        (36, struct.pack(">I", tables)),
        (40, struct.pack(">Q", 4096)),
    )
    raw = raw.ljust(4096) + struct.pack(">Q", 1536) * tables
    refused(write(tmp_path / "x", raw), "more than this reader takes")
