"""Chains of parents: found by name or given, told apart by UUID, never in a circle."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from disks.asking import model, refused, write
from samples import disks as samples

from labkit.disks import open_disk


def child(parent: str) -> bytes:
    """A disk that holds nothing itself."""
    return samples.qcow2([None], [], 512, parent=parent)


@pytest.mark.parametrize("name", samples.MAKERS)
def test_what_is_missing_is_the_parents(name: str, tmp_path: Path) -> None:
    maker = samples.MAKERS[name]
    size = maker.size
    below = random.Random(1).randbytes(3 * size - 512)
    blocks = [None, b"x" * size, "zero" if maker.zeros else None, None]
    raw = maker.make(blocks, [1, 0, 2, 3], size, parent=maker.parent)
    with open_disk(write(tmp_path / "child", raw)) as disk:
        by_uuid = disk.parent == str(samples.PARENT)
        assert disk.variant == "differencing" and (by_uuid or disk.parent.endswith("base"))
        assert disk.read(size, size) == b"x" * size  # needs no parent
        refused(lambda: disk.read(0, 1), "needs its parent")
        base = write(tmp_path / "base", below)
        if by_uuid:
            disk.set_parent(open_disk(base, raw=True))
        else:
            assert disk.parent_path == base
        assert disk.read(0, 4 * size) == model(blocks, size, below)
        refused(lambda: disk.read(1, 4 * size), "ask for bytes it has")
    refused(lambda: disk.read(size, 1), "closed")
    with open_disk(base) as raw_disk:
        refused(lambda: raw_disk.set_parent(disk), "has no parent")


def test_a_parent_with_another_uuid_is_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "child", samples.vdi([None], [0], 4096, parent=True))
    other = write(tmp_path / "other", samples.vdi([None], [0], 4096))
    uuids = str(samples.UUID), str(samples.PARENT)
    with open_disk(first) as disk, open_disk(other) as parent:
        refused(lambda: disk.set_parent(parent), "give the right one", *uuids)
    write(tmp_path / "base", samples.vhd([None], [0], 4096))
    path = write(tmp_path / "c.vhd", samples.vhd([None], [0], 4096, parent="base"))
    with open_disk(path) as disk:
        refused(lambda: disk.read(0, 1), "give the right one")


def test_a_parent_said_to_be_raw_is_raw(tmp_path: Path) -> None:
    base = write(tmp_path / "base", samples.qcow2([b"a" * 512], [0], 512))
    raw = samples.qcow2([None] * 4, [], 512, parent="base", raw=True)
    with open_disk(write(tmp_path / "child", raw)) as disk:
        assert disk.read(0, 512) == base.read_bytes()[:512]
    raw = samples.qcow2([None] * 4, [], 512, parent="base")
    with open_disk(write(tmp_path / "child", raw)) as disk:
        assert disk.read(0, 512) == b"a" * 512


def test_parents_in_a_circle(tmp_path: Path) -> None:
    for name, parent in (("a", "b"), ("b", "a"), ("self", "self")):
        write(tmp_path / name, child(parent))
    for name in ("a", "self"):
        with open_disk(tmp_path / name) as disk:
            refused(lambda disk=disk: disk.read(0, 512), "circle")  # type: ignore[misc]


def test_given_parents_in_a_circle(tmp_path: Path) -> None:
    raw = samples.vdi([None], [], 4096, parent=True)
    first_path, second_path = write(tmp_path / "v", raw), write(tmp_path / "w", raw)
    with open_disk(first_path) as first, open_disk(second_path) as second:
        first.parent_uuid = ""
        second.parent_uuid = ""
        first.set_parent(second)
        second.set_parent(first)
        refused(lambda: first.read(0, 1), "circle")


def test_parents_without_end(tmp_path: Path) -> None:
    write(tmp_path / "0", samples.qcow2([b"z" * 512], [0], 512))
    for n in range(1, 1200):
        write(tmp_path / str(n), child(str(n - 1)))
    with open_disk(tmp_path / "150") as disk:
        assert disk.read(0, 512) == b"z" * 512
    with open_disk(tmp_path / "1199") as disk:
        refused(lambda: disk.read(0, 512), "more than 200")


def test_opened_parents_are_closed_and_given_ones_are_not(tmp_path: Path) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    write(tmp_path / "base", b"b" * 512)
    path = write(tmp_path / "child", child("base"))
    before = open_files()
    with open_disk(path) as disk:
        disk.read(0, 512)
    with open_disk(tmp_path / "base") as base:
        with open_disk(path) as disk:
            disk.set_parent(base)
            assert disk.read(0, 512) == b"b" * 512
        assert base.read(0, 1) == b"b"
    refused(write(tmp_path / "bad", b"QFI\xfb" + bytes(600)))
    assert open_files() == before
