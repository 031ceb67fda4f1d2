"""QED and VHDX: what `qemu-img` tells of them, what it does not, and never a second file."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from pathlib import Path

import pytest
from disks.asking import MIB, everything, in_one_folder, model, patched, refused, survives, write
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import disks as samples

from labkit.disks import Disk, Extent, open_disk, qemu
from labkit.disks.strip import StripFigure
from labkit.errors import LabError, MissingProgram

BLOCK = b"x" * 4096
QED = samples.qed([BLOCK, None, "zero", BLOCK], [3, 0], 4096)
SUMMARY = "QED dynamic, capacity 16 KiB, 2 of 4 clusters of 4 KiB allocated, file 28 KiB"


@pytest.fixture
def vhdx(tmp_path: Path) -> Path:
    path = tmp_path / "disk.vhdx"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vhdx", path, "64M"], check=True)
    return path


def test_how_to_get_qemu_img(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for magic, name in ((b"QED\0", "QED"), (b"vhdxfile", "VHDX")):
        path = write(tmp_path / "x", magic + bytes(4096))
        with pytest.raises(
            MissingProgram, match=f"x: is a {name}, .*`sudo apt install qemu-utils`"
        ):
            open_disk(path)


@pytest.mark.live("qemu-img")
def test_a_qed(tmp_path: Path) -> None:
    path = write(tmp_path / "x", QED)
    everything(open_disk(path))
    with open_disk(path) as disk:
        assert disk.summary() == SUMMARY and disk.notes == []
        assert disk.fields[0][:4] == (0, 4, "signature", "0x51454400")
        assert list(disk.extents()) == [
            Extent(0, 4096, "data", 24576),
            Extent(4096, 4096, "parent", None),
            Extent(8192, 4096, "zero", None),
            Extent(12288, 4096, "data", 20480),
        ]
        assert disk.blocks() == [24576, None, None, 20480]
        assert disk.read(0, 16384) == model([BLOCK, None, "zero", BLOCK], 4096)
        labels = [(region.kind, region.label) for region in disk.regions()]
        assert labels == [("other", "header and tables"), ("data", "guest data")]
        assert "guest  █·0█\n" in str(StripFigure(disk))


@pytest.mark.live("qemu-img")
@pytest.mark.parametrize("raw", [False, True])
def test_the_parent_of_a_qed(raw: bool, tmp_path: Path) -> None:
    base = samples.qcow2([b"a" * 512] * 8, range(8), 512)
    write(tmp_path / "base", base)
    child = samples.qed([None, BLOCK], [1], 4096, "base", raw=raw)
    with open_disk(write(tmp_path / "x", child)) as disk:
        assert (disk.parent, disk.variant, disk.parent_raw) == ("base", "differencing", raw)
        assert disk.parent_path == tmp_path / "base"
        below = base[:4096] if raw else b"a" * 4096
        assert disk.read(0, 8192) == below + BLOCK


@pytest.mark.live("qemu-img")
@pytest.mark.parametrize("parent", ["pipe", "/no/such/file", "nbd:localhost:1", "json:{}"])
def test_no_second_file_is_opened(parent: str, tmp_path: Path) -> None:
    """Nor by qemu-img, which would wait for the pipe without end, and complain of the others."""
    os.mkfifo(tmp_path / "pipe")
    child = samples.qed([None, BLOCK], [1], 4096, parent)
    with open_disk(write(tmp_path / "x", child)) as disk:
        assert disk.parent == parent and disk.notes == []
        assert [extent.kind for extent in disk.extents()] == ["parent", "data"]


@pytest.mark.live("qemu-img")
@pytest.mark.parametrize("name", ["with space", "a,b=c", "json:x", "ä\u202e", "%s'\""])
def test_any_name(name: str, tmp_path: Path) -> None:
    with open_disk(write(tmp_path / name, QED)) as disk:
        assert disk.summary() == SUMMARY


@pytest.mark.live("qemu-img")
def test_a_vhdx(vhdx: Path) -> None:
    """qemu-img tells neither whether it is fixed nor where its blocks are."""
    with open_disk(vhdx) as disk:
        assert disk.summary() == "VHDX, capacity 64 MiB, 8 blocks of 8 MiB, file 8 MiB"
        assert disk.fields[0][:4] == (0, 8, "file signature", "vhdxfile")
        assert list(disk.extents()) == [Extent(0, 64 * MIB, "unknown", None)]
        assert disk.notes == ["qemu-img does not tell where in this file the guest's blocks are."]
        again = Disk.from_json(json.loads(json.dumps(disk.to_json())))
        assert str(again) == str(disk) and again.to_json() == disk.to_json()
        assert "guest  ????????\nfile   ▚\n" in str(StripFigure(disk))
        assert StripFigure(disk).svg().count(">?</text>") == 9  # and the legend
        refused(lambda: disk.read(0, 1), "`qemu-img convert -O qcow2`")


@pytest.mark.live("qemu-img")
@pytest.mark.parametrize("magic", [b"QED\0", b"vhdxfile"])
def test_hostile_ones(magic: bytes, vhdx: Path) -> None:
    whole = {b"QED\0": QED, b"vhdxfile": vhdx.read_bytes()}[magic]

    @settings(in_one_folder, max_examples=25)
    @given(st.integers(0, len(whole)), st.integers(0, 5000), st.binary(max_size=16))
    def run(size: int, at: int, new: bytes) -> None:
        survives(write(vhdx, magic + patched(whole, (at, new))[len(magic) : size]))

    run()


@pytest.mark.live("qemu-img")
def test_a_map_without_end(tmp_path: Path) -> None:
    """All tables are one table, in which every other cluster is there: half a million pieces."""
    entries = 1024
    table = [0, 20480] * (entries // 2)
    raw = patched(
        samples.qed([None], [], 4096).ljust(20480 + 4096),
        (48, struct.pack("<Q", entries * entries * 4096)),
        (4096, struct.pack("<Q", 12288) * entries),
        (12288, struct.pack(f"<{entries}Q", *table)),
    )
    with open_disk(write(tmp_path / "x", raw)) as disk:
        refused(lambda: list(disk.extents()), "longer than this reader takes")


@pytest.mark.live("qemu-img")
def test_one_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "QEMU_PATIENCE", 0)
    with pytest.raises(LabError, match="did not answer within"):
        open_disk(write(tmp_path / "x", QED))
