"""QED and VHDX: what `qemu-img info` tells of them, what it does not, and never a second file."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from disks.asking import MIB, everything, in_one_folder, patched, refused, survives, write
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import disks as samples

from labkit.disks import Disk, Extent, open_disk, qemu
from labkit.disks.strip import StripFigure
from labkit.errors import LabError, MissingProgram

BLOCK = b"x" * 4096
QED = samples.qed([BLOCK, None, "zero", BLOCK], [3, 0], 4096)
SUMMARY = "QED dynamic, capacity 16 KiB, 4 clusters of 4 KiB, file 28 KiB"
NOT_TOLD = "`qemu-img info` does not tell where in this file the guest's blocks are."


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
@pytest.mark.parametrize("name", ["x", "with space", "a,b=c", "json:x", "ä\u202e", "%s'\""])
def test_a_qed(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, QED)
    everything(open_disk(path))
    with open_disk(path) as disk:
        assert disk.summary() == SUMMARY and disk.notes == [NOT_TOLD]
        assert disk.fields[0][:4] == (0, 4, "signature", "0x51454400")
        assert list(disk.extents()) == [Extent(0, 16384, "unknown", None)]
        refused(lambda: disk.read(0, 1), "`qemu-img convert -O qcow2`")


@pytest.mark.live("qemu-img")
@pytest.mark.parametrize("raw", [False, True])
def test_the_parent_of_a_qed(raw: bool, tmp_path: Path) -> None:
    child = samples.qed([None, BLOCK], [1], 4096, "base", raw=raw)
    with open_disk(write(tmp_path / "x", child)) as disk:
        assert (disk.parent, disk.variant, disk.parent_raw) == ("base", "differencing", raw)
        assert disk.parent_path == tmp_path / "base"


@pytest.mark.live("qemu-img")
@pytest.mark.parametrize("parent", ["pipe", "/no/such/file", "nbd:localhost:1", "json:{}"])
def test_no_second_file_is_opened(parent: str, tmp_path: Path) -> None:
    """Nor by qemu-img, which would wait for the pipe without end, and complain of the others."""
    os.mkfifo(tmp_path / "pipe")
    child = samples.qed([None, BLOCK], [1], 4096, parent)
    with open_disk(write(tmp_path / "x", child)) as disk:
        assert disk.parent == parent and disk.notes == [NOT_TOLD]


@pytest.mark.live("qemu-img")
def test_a_vhdx(vhdx: Path) -> None:
    """qemu-img does not tell whether it is fixed."""
    with open_disk(vhdx) as disk:
        assert disk.summary() == "VHDX, capacity 64 MiB, 8 blocks of 8 MiB, file 8 MiB"
        assert disk.fields[0][:4] == (0, 8, "file signature", "vhdxfile")
        assert list(disk.extents()) == [Extent(0, 64 * MIB, "unknown", None)]
        assert disk.notes == [NOT_TOLD]
        again = Disk.from_json(json.loads(json.dumps(disk.to_json())))
        assert str(again) == str(disk) and again.to_json() == disk.to_json()
        assert "guest  ????????\nfile   ▚\n" in str(StripFigure(disk))
        assert StripFigure(disk).svg().count(">?</text>") == 9  # and the legend


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
def test_one_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "QEMU_PATIENCE", 0)
    with pytest.raises(LabError, match="did not answer within"):
        open_disk(write(tmp_path / "x", QED))
