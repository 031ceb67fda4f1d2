"""Disks that QEMU and VirtualBox write, read here and by them."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from disks.asking import MIB, check_shape, in_one_folder, write
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import disks as samples

from labkit.disks import Disk, open_disk

COUNT = itertools.count()


def run(*argv: str | Path, env: dict[str, str] | None = None) -> str:
    words = [str(word) for word in argv]
    return subprocess.run(words, check=True, capture_output=True, text=True, env=env).stdout


# -- QEMU


class Piece(NamedTuple):
    """Data of a disk; ``at``: where in the file, if that is compared."""

    start: int
    length: int
    at: int | None


def joined(pieces: list[Piece]) -> list[Piece]:
    out: list[Piece] = []
    for piece in pieces:
        last = out[-1] if out else Piece(-1, 0, None)
        in_a_row = last.at is None or last.at + last.length == piece.at
        if last.start + last.length == piece.start and in_a_row:
            out[-1] = last._replace(length=last.length + piece.length)
        else:
            out.append(piece)
    return out


def same(path: Path, kind: str) -> Disk:
    """Our bytes and map are QEMU's."""
    out = path.with_suffix(".oracle")
    run("qemu-img", "convert", "-f", kind, "-O", "raw", path, out)
    info = json.loads(run("qemu-img", "info", "-f", kind, "--output=json", path))
    disk = open_disk(path)
    want = out.read_bytes()
    assert disk.format == kind.upper().replace("VPC", "VHD")
    assert disk.capacity == info["virtual-size"] == len(want)
    for extent in check_shape(disk):
        stop = extent.start + extent.length
        if extent.kind in ("zero", "parent") and not disk.parent:
            assert not want[extent.start : stop].strip(b"\0")
        elif extent.kind == "data":
            assert disk.read(extent.start, extent.length) == want[extent.start : stop]
    if kind != "raw":
        same_map(disk, json.loads(run("qemu-img", "map", "-f", kind, "--output=json", path)))
    return disk


def same_map(disk: Disk, known: list[dict[str, Any]]) -> None:
    data = [row for row in known if row["data"] and row["depth"] == 0]
    theirs = [Piece(row["start"], row["length"], None) for row in data]
    ours = [
        Piece(extent.start, extent.length, None)
        for extent in disk.extents()
        if extent.at is not None
    ]
    assert joined(ours) == joined(theirs)
    if disk.format != "VMDK":  # QEMU tells its places by file
        theirs = [
            Piece(row["start"], row["length"], row["offset"]) for row in data if "offset" in row
        ]
        ours = [Piece(*extent[:2], extent.at) for extent in disk.extents() if extent.kind == "data"]
        assert ours == joined(theirs)


@pytest.mark.live("qemu-img")
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("raw", ""),
        ("qcow2", "compat=0.10"),
        ("qcow2", ""),
        ("qcow2", "cluster_size=4096"),
        ("vdi", ""),
        ("vdi", "static=on"),
        ("vpc", "force_size=on"),
        ("vpc", ""),  # its capacity by its geometry
        ("vpc", "subformat=fixed,force_size=on"),
        ("vmdk", "subformat=monolithicSparse"),
        ("vmdk", "subformat=monolithicFlat"),
        ("vmdk", "subformat=twoGbMaxExtentSparse"),
        ("vmdk", "subformat=twoGbMaxExtentFlat"),
        ("vmdk", "zeroed_grain=on"),
    ],
)
def test_what_qemu_writes(kind: str, options: str, tmp_path: Path) -> None:
    folder = tmp_path / "d"

    @settings(in_one_folder, max_examples=2)
    @given(st.permutations(range(7)))
    def check(order: list[int]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        path = folder / "disk"
        chosen = ["-o", options] if options else []
        run("qemu-img", "create", "-q", "-f", kind, *chosen, path, "12M")
        writes = []
        for n in order:
            writes += ["-c", f"write -P {n + 1} {n * 425 * 4}k {(n % 3 + 1) * 60}k"]
        run("qemu-io", "-f", kind, *writes, path)
        with same(path, kind) as disk:
            assert disk.fields or kind == "raw"

    check()


@pytest.mark.live("qemu-img")
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("qcow2", "compression_type=zlib"),
        ("qcow2", "compression_type=zstd"),
        ("vmdk", "subformat=streamOptimized"),
    ],
)
def test_what_qemu_compresses(kind: str, options: str, tmp_path: Path) -> None:
    data = bytearray(6 * MIB + 512)
    data[100:3000] = b"a" * 2900
    data[2 * MIB : 3 * MIB] = random.Random(1).randbytes(MIB)
    data[-100:] = b"e" * 100
    source = write(tmp_path / "raw", bytes(data))
    target = tmp_path / "disk"
    run("qemu-img", "convert", "-f", "raw", "-c", "-O", kind, "-o", options, source, target)
    with same(target, kind) as disk:
        assert any(extent.kind == "compressed" for extent in disk.extents())
        assert disk.notes == []


@pytest.mark.live("qemu-img")
@pytest.mark.parametrize("kind", ["qcow2", "vmdk"])
def test_backing_files_of_qemu(kind: str, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for n, path in enumerate(paths):
        below = ["-F", kind, "-b", paths[n - 1].name] if n else []
        size = [] if n else ["4M"]
        run("qemu-img", "create", "-q", "-f", kind, *below, path, *size)
        run("qemu-io", "-f", kind, "-c", f"write -P {n + 1} {n * 100}k 500k", path)
        if kind != "vmdk":
            run("qemu-io", "-f", kind, "-c", f"write -z {n * 100 + 128}k 128k", path)
    with same(paths[2], kind) as disk, same(paths[1], kind) as middle, same(paths[0], kind) as base:
        assert disk.variant == "differencing" and disk.parent.endswith("b")
        assert disk.parent_path == paths[1]
        disk.set_parent(middle)
        middle.set_parent(base)
        assert disk.read(0, disk.capacity) == paths[2].with_suffix(".oracle").read_bytes()


@pytest.mark.live("qemu-img")
def test_snapshots_inside_a_qcow2(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "4M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 1M", path)
    run("qemu-img", "snapshot", "-c", "one", path)
    run("qemu-io", "-f", "qcow2", "-c", "write -P 2 0 128k", path)
    with same(path, "qcow2") as disk:
        assert "1 snapshot(s) inside" in str(disk)
        assert {region.kind for region in disk.regions()} == {"header", "map", "data", "other"}


# -- VirtualBox

VBox = Callable[..., str]


@pytest.fixture
def box(tmp_path: Path) -> VBox:
    """VBoxManage with a registry of its own."""
    own = {
        "VBOX_USER_HOME": str(tmp_path / "vbox"),
        "VBOX_IPC_SOCKETID": f"d{next(COUNT)}-{os.getpid()}",
    }
    return lambda *argv: run("VBoxManage", *argv, env=os.environ | own | {"LC_ALL": "C.UTF-8"})


def told(box: VBox, path: Path) -> dict[str, str]:
    """What VBoxManage says of a medium."""
    words = {}
    for line in box("showmediuminfo", "disk", path).split("\n"):
        key, colon, value = line.partition(":")
        if colon:
            words[key.strip()] = value.strip()
    return words


VARIANTS = {
    "Standard": ["dynamic"],
    "Fixed": ["fixed", "flat"],
    "Split2G": ["split", "dynamic"],
    "Stream": ["streamOptimized"],
}


@pytest.mark.live("virtualbox")
@pytest.mark.parametrize(
    ("kind", "variant"),
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
def test_what_virtualbox_writes(kind: str, variant: str, tmp_path: Path, box: VBox) -> None:
    data = bytearray(8 * MIB)
    for n in (0, 3, 5):
        data[n * MIB + 512 : n * MIB + 70000] = random.Random(n).randbytes(69488)
    source = write(tmp_path / "raw.img", bytes(data))
    path = tmp_path / f"disk.{kind.lower()}"
    box("convertfromraw", source, path, "--format", kind, "--variant", variant)
    info = told(box, path)
    with open_disk(path) as disk:
        if variant == "Stream":
            assert "compressed" in {extent.kind for extent in disk.extents()}
        else:
            assert disk.read(0, disk.capacity) == data
        assert disk.uuid == info["UUID"] and info["Capacity"] == f"{disk.capacity // MIB} MBytes"
        assert disk.format == info["Storage format"]
        assert not disk.parent and info["Parent UUID"] == "base"
        assert disk.variant in VARIANTS[variant]
        check_shape(disk)
        assert disk.notes == []


@pytest.mark.live("virtualbox")
@pytest.mark.parametrize("kind", ["VDI", "VHD", "VMDK"])
def test_a_chain_of_snapshots(kind: str, tmp_path: Path, box: VBox) -> None:
    base = tmp_path / f"base.{kind.lower()}"
    source = write(tmp_path / "raw.img", random.Random(9).randbytes(4 * MIB))
    box("convertfromraw", source, base, "--format", kind)
    box("createvm", "--name", "m", "--register", "--basefolder", tmp_path / "vms")
    box("storagectl", "m", "--name", "S", "--add", "sata")
    place = ["--storagectl", "S", "--port", "0", "--device", "0"]
    box("storageattach", "m", *place, "--type", "hdd", "--medium", base)
    box("snapshot", "m", "take", "one")
    box("snapshot", "m", "take", "two")
    paths = [base, *(tmp_path / "vms" / "m" / "Snapshots").glob(f"*.{kind.lower()}")]
    disks = {disk.uuid: disk for disk in map(open_disk, paths)}
    assert len(disks) == 3
    for disk in disks.values():
        info = told(box, disk.path)
        assert info["UUID"] == disk.uuid and info["Parent UUID"] == (disk.parent_uuid or "base")
        assert disk.variant == ("dynamic" if disk.path == base else "differencing")
        assert disk.allocated == (4 * MIB if disk.path == base else 0)
        if disk.parent:
            disk.set_parent(disks[disk.parent_uuid])
    parents = [disk.parent_uuid for disk in disks.values()]
    last = next(disk for disk in disks.values() if disk.uuid not in parents)
    middle = disks[last.parent_uuid]
    assert last.read(0, 4 * MIB) == source.read_bytes()
    # write guest data into both differences by hand, and let VirtualBox resolve the chain
    for n, disk in enumerate((last, middle)):
        patch(disk.path, kind, n)
    box("clonemedium", "disk", last.uuid, tmp_path / "out.img", "--format", "RAW")
    with open_disk(last.path) as top, open_disk(middle.path) as below:
        below.set_parent(disks[below.parent_uuid])
        top.set_parent(below)
        data = top.read(0, 4 * MIB)
        assert data == (tmp_path / "out.img").read_bytes() != source.read_bytes()
        assert {extent.kind for extent in check_shape(top)} >= {"data", "parent"}
    for disk in disks.values():
        disk.close()


def patch(path: Path, kind: str, n: int) -> None:
    """Put a block into an empty difference, as the format's specification says."""
    raw = bytearray(path.read_bytes())
    fill = bytes([0x40 + n])
    if kind == "VDI":  # block n + 1; block 3 are zeros
        at, data = struct.unpack_from("<II", raw, 340)
        samples.put(raw, data, fill * MIB)
        struct.pack_into("<I", raw, at + 4 * (n + 1), 0)
        struct.pack_into("<I", raw, at + 12, 0xFFFFFFFE)
        struct.pack_into("<I", raw, 388, 1)
    elif kind == "VHD":  # block n, but only some of its sectors
        foot = bytes(raw[-512:])
        at = struct.unpack_from(">Q", raw, 512 + 16)[0]
        start = samples.up(len(raw) - 512, 512)
        del raw[-512:]
        samples.put(raw, start, b"\xa5" * 512 + fill * (2 * MIB))
        struct.pack_into(">I", raw, at + 4 * n, start // 512)
        raw += foot
    else:  # grain 5 + n
        start = samples.up(len(raw), 65536)
        samples.put(raw, start, fill * 65536)
        # VirtualBox refuses a table that its copy does not equal
        for at in struct.unpack_from("<QQ", raw, 48):
            table = struct.unpack_from("<I", raw, at * 512)[0] * 512
            struct.pack_into("<I", raw, table + 4 * (5 + n), start // 512)
    path.write_bytes(raw)
