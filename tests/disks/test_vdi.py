"""VDI: its fields, blocks with something before them, and headers that lie."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from disks.asking import MIB, model, patched, refused, write
from samples import disks as samples

from labkit.disks import open_disk

VDI = samples.vdi([b"x" * 4096] * 2, [0, 1], 4096)
FULL = b"\xff" * 8


def test_the_fields(tmp_path: Path) -> None:
    data = samples.vdi([b"a" * MIB, None, "zero"], [0], MIB, parent=True)
    with open_disk(write(tmp_path / "x.vdi", data)) as disk:
        assert disk.summary() == (
            "VDI differencing, capacity 3 MiB, 1 of 3 blocks of 1 MiB allocated, file 1.0 MiB, "
            f"parent {samples.PARENT}"
        )
        fields = {field.name: field for field in disk.fields}
        assert fields["signature"][:4] == (64, 4, "signature", "0x7F10DABE")
        assert fields["map at"][:4] == (340, 4, "map at", "0x200 (512 bytes)")
        assert fields["UUID"][:4] == (392, 16, "UUID", str(samples.UUID))
        assert disk.uuid == str(samples.UUID)
        values = [fields[name].value for name in ("capacity", "type", "comment")]
        assert values == ["3 MiB", "differencing", "a comment"]
        assert str(disk).split("\n")[0] == disk.summary()
        kinds = [region.kind for region in disk.regions()]
        assert kinds == ["header", "free", "map", "free", "data"]


def test_a_block_with_extra_bytes_before_it(tmp_path: Path) -> None:
    blocks = [b"a" * 4096, None, b"b" * 4096]
    with open_disk(write(tmp_path / "x", samples.vdi(blocks, [2, 0], 4096, extra=512))) as disk:
        assert disk.read(0, 3 * 4096) == model(blocks, 4096)


def test_adjacent_blocks_are_one_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [bytes([n]) * 4096 for n in range(64)]
    asked: list[int] = []
    with open_disk(write(tmp_path / "x", samples.vdi(blocks, range(64), 4096))) as disk:
        assert disk.file
        read = disk.file.read

        def counted(at: int, size: int) -> bytes:
            asked.append(size)
            return read(at, size)

        monkeypatch.setattr(disk.file, "read", counted)
        assert disk.read(0, 64 * 4096) == b"".join(blocks) and asked == [64 * 4096]


@pytest.mark.parametrize(
    ("at", "new", "words"),
    [
        (368, FULL, "makes no sense"),
        (368, struct.pack("<Q", 1 << 63), "makes no sense"),
        (376, bytes(4), "makes no sense"),
        (376, b"\1\x10", "makes no sense"),
        (76, b"\x09", "type 9"),
        (384, FULL[:4], "takes"),
        (340, FULL[:4], "takes"),
        (512, b"\x09", "outside the file"),
        (512, b"\xfd\xff\xff\xff", "outside the file"),
        (344, FULL[:4], "outside the file"),
    ],
)
def test_headers_and_maps_that_lie(at: int, new: bytes, words: str, tmp_path: Path) -> None:
    refused(write(tmp_path / "x", patched(VDI, (at, new))), words)


def test_a_sparse_file_that_says_it_is_all_map(tmp_path: Path) -> None:
    path = write(tmp_path / "x", patched(VDI, (384, b"\xff\xff\xff\x7f")))
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    refused(path, "longer than this reader takes")
