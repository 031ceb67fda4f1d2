"""What the tests of disks share: asking a disk for everything, and being refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from labkit.disks import Disk, Extent, open_disk
from labkit.errors import LabError

MIB = 1 << 20
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def patched(data: bytes, *changes: tuple[int, bytes]) -> bytes:
    """The data with other bytes at some places."""
    out = bytearray(data)
    for at, new in changes:
        out[at : at + len(new)] = new
    return bytes(out)


def refused(what: Path | Callable[[], object], *words: str) -> str:
    """A disk, or a call, ends in one safe line with these words."""
    with pytest.raises(LabError) as error:
        everything(open_disk(what)) if isinstance(what, Path) else what()
    line = str(error.value)
    assert line.isprintable() and len(line) < 600 and line.endswith("."), line
    for word in words:
        assert word in line, (word, line)
    return line


def check_shape(disk: Disk) -> list[Extent]:
    """What holds for every disk; returns its extents."""
    extents = list(disk.extents())
    end = 0
    before: Extent | None = None
    for extent in extents:
        assert extent.start == end and extent.length > 0
        assert (extent.at is None) == (extent.kind in ("zero", "parent", "unknown"))
        if before and before.kind == extent.kind != "compressed":  # else they were to be merged
            assert before.at is not None and before.at + before.length != extent.at
        end += extent.length
        before = extent
    assert end == disk.capacity
    end = 0
    for region in disk.regions():
        assert region.offset == end and region.size > 0
        assert region.kind in ("header", "map", "data", "other", "free")
        end += region.size
    assert end == disk.file_size
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
        again = Disk.from_json(data)
        assert again.to_json() == data and str(again) == str(disk)


def survives(path: Path) -> None:
    """An answer or one line, whatever is in the file."""
    try:
        disk = open_disk(path)
    except LabError as error:
        assert str(error).isprintable()
        return
    questions: list[Callable[[Disk], object]] = [
        str,
        check_shape,
        Disk.to_json,
        lambda disk: disk.read(0, min(disk.capacity, MIB)),
        lambda disk: disk.read(max(0, disk.capacity - 5000), min(disk.capacity, 5000)),
    ]
    with disk:
        for ask in questions:
            try:
                ask(disk)
            except LabError as error:
                assert str(error).isprintable()


def model(blocks: Sequence[bytes | str | None], size: int, below: bytes = b"") -> bytes:
    """What the guest sees: its blocks or, where they are None, what is below."""
    parts = []
    for n, block in enumerate(blocks):
        under = below[n * size : (n + 1) * size] if block is None else b""
        parts.append(block if isinstance(block, bytes) else under.ljust(size, b"\0"))
    return b"".join(parts)
