"""What a disk says of itself: notes, names that are safe, recordings of it."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import pytest
from disks.asking import MIB, check_shape, patched, refused, write
from samples import disks as samples

from labkit.disks import Disk, DiskField, open_disk


def test_two_blocks_at_one_place(tmp_path: Path) -> None:
    raw = samples.vdi([b"a" * 4096, b"b" * 4096], [0, 1], 4096)
    with open_disk(write(tmp_path / "x", patched(raw, (516, bytes(4))))) as disk:
        assert disk.read(0, 8192) == b"a" * 8192
        assert disk.notes == [
            "1 piece(s) of the file are used twice, first at byte 1024: is the map damaged?"
        ]
        assert disk.notes[0] in str(disk) and disk.to_json()["notes"] == disk.notes
        check_shape(disk)


def test_a_name_is_safe_to_print(tmp_path: Path) -> None:
    raw = samples.qcow2([None], [], 512, parent="y\x1b")
    with open_disk(write(tmp_path / "x\n\x1b[31m", raw)) as disk:
        refused(lambda: disk.read(0, 1), "needs its parent")
        assert disk.to_json()["name"].isprintable()


def test_the_map_of_a_file_cut_short_is_said_with_its_fields(tmp_path: Path) -> None:
    raw = samples.vdi([b"x" * 4096] * 2, [0, 1], 4096)
    with open_disk(write(tmp_path / "x", raw[:-1])) as disk:
        assert "cannot be drawn" in str(disk) and "0x7F10DABE" in str(disk)
        assert disk.read(0, 4096) == b"x" * 4096


def test_a_recording_holds_the_beginning_of_a_large_map(tmp_path: Path) -> None:
    count = 10 << 10
    data_at = samples.up(512 + 4 * count, MIB)
    head = bytearray(samples.vdi([None], [], MIB))
    struct.pack_into("<II", head, 340, 512, data_at)
    struct.pack_into("<QIIII", head, 368, count * MIB, MIB, 0, count, count // 2)
    order = random.Random(3).sample(range(count // 2), count // 2)
    table = [order[n // 2] if n % 2 else 0xFFFFFFFF for n in range(count)]
    path = write(tmp_path / "x.vdi", bytes(head[:512]) + struct.pack(f"<{count}I", *table))
    with path.open("r+b") as file:
        file.truncate(data_at + count // 2 * MIB)
    with open_disk(path) as disk:
        assert len(list(disk.extents())) == count
        assert (disk.capacity, disk.allocated) == (10 << 30, 5 << 30)
        data = disk.to_json()
        assert len(data["map"]) == 4096 and data["map_truncated"] and len(data["regions"]) <= 4096
        assert Disk.from_json(data).to_json() == data


@pytest.mark.parametrize(
    "data", [{}, {"name": 1}, {"name": "x", "fields": 3}, {"name": "x", "format": "y"}]
)
def test_a_broken_record(data: dict[str, Any]) -> None:
    refused(lambda: Disk.from_json(data), "no record of a disk")


def test_a_field_in_a_recording() -> None:
    names = ["offset", "size", "name", "value", "meaning"]
    assert list(DiskField(0, 1, "a", "b", "c")._asdict()) == names
