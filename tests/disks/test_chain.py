"""Chains of parents: read through as far as needed, told apart by UUID, without end or circle."""

from __future__ import annotations

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
    blocks = [None, None if maker.unpack else b"x" * size, "zero" if maker.zeros else None, None]
    raw = maker.make(blocks, [1, 0, 2, 3], size, parent=maker.parent)
    base = write(tmp_path / "base", below)
    with open_disk(write(tmp_path / "child", raw)) as disk, open_disk(base, raw=True) as parent:
        by_uuid = disk.parent == str(samples.PARENT)
        assert disk.variant == "differencing" and (by_uuid or disk.parent.endswith("base"))
        if disk.format in ("VMDK", "QCOW2"):
            assert disk.parent_path == base
        if not maker.unpack:
            assert disk.read(size, size) == b"x" * size  # needs no parent
        refused(lambda: disk.read(0, 1), "needs its parent")
        disk.set_parent(parent)
        assert disk.read(0, 4 * size) == model(blocks, size, below)


@pytest.mark.parametrize("raw", [True, False])
def test_a_parent_said_to_be_raw(raw: bool, tmp_path: Path) -> None:
    data = samples.qcow2([None] * 4, [], 512, parent="base", raw=raw)
    with open_disk(write(tmp_path / "child", data)) as disk:
        assert disk.parent_raw == raw


def test_a_parent_with_another_uuid_is_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "child", samples.vdi([None], [0], 4096, parent=True))
    other = write(tmp_path / "other", samples.vdi([None], [0], 4096))
    uuids = str(samples.UUID), str(samples.PARENT)
    with open_disk(first) as disk, open_disk(other) as parent:
        refused(lambda: disk.set_parent(parent), "give the right one", *uuids)


def test_parents_in_a_circle(tmp_path: Path) -> None:
    with open_disk(write(tmp_path / "x", child("x"))) as disk:
        disk.set_parent(disk)
        refused(lambda: disk.read(0, 512), "more than 200")


def test_the_longest_chain(tmp_path: Path) -> None:
    disk = open_disk(write(tmp_path / "base", samples.qcow2([b"z" * 512], [0], 512)))
    path = write(tmp_path / "child", child("base"))
    chain = [disk]
    for _ in range(200):
        disk = open_disk(path)
        disk.set_parent(chain[-1])
        chain.append(disk)
    assert chain[199].read(0, 512) == b"z" * 512
    refused(lambda: chain[200].read(0, 512), "more than 200")
    for disk in chain:
        disk.close()
