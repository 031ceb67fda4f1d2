"""QED and VHDX, as `qemu-img` describes them: the course meets them but does not take them apart.

Source: qemu-img(1), `info` and `map` with `--output=json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from labkit.commands import run
from labkit.disks.blockmap import AllocationMap, Extent, ExtentList
from labkit.disks.disk import Disk
from labkit.disks.diskfile import DiskFile
from labkit.disks.header import DiskHeader, FieldTable, Octets
from labkit.disks.regions import Gap
from labkit.disks.values import in_file_order, one_line, words
from labkit.errors import MissingProgram
from labkit.messages import N_

QED_MAGIC = b"QED\0"
VHDX_MAGIC = b"vhdxfile"
QEMU_PATIENCE = 20  # seconds
LONGEST_ANSWER = 1 << 24  # characters: a map of a hundred thousand pieces


class QemuImg:
    """`qemu-img`, to be asked about one file; it opens no other, whatever that one names.

    Each question raises LabError if qemu-img cannot read the file, takes too long or says too
    much, and MissingProgram if it is not there.
    """

    def __init__(self, file: DiskFile, path: Path, name: str) -> None:
        self._file = file
        self._format = name
        # QAPI, BlockdevOptions. A plain name would leave it to the file which format it has and,
        # for `map`, which backing file is opened.
        source = {
            "driver": name.lower(),
            "file": {"driver": "file", "filename": str(path)},
            "backing": None,
        }
        self._source = "json:" + json.dumps(source)
        self._said = 0  # characters

    def info(self) -> dict[str, Any]:
        """What it says of the file: an ImageInfo (QAPI)."""
        return dict(self._ask("info"))

    def extents(self) -> list[Extent]:
        """Where it says that the guest's bytes are: each a MapEntry (QAPI)."""
        try:
            return [_extent(entry) for entry in self._ask("map")]
        except KeyError:
            raise self._file.wrong(
                N_("{name}: only a qemu-img of version 6.1 or newer tells its map in full.")
            ) from None

    def _ask(self, question: str) -> Any:
        argv = ["qemu-img", question, "-U", "--output=json", self._source]
        try:
            result = run(argv, on_text=self._count, timeout=QEMU_PATIENCE)
        except MissingProgram:
            raise MissingProgram(
                "{name}: is a {format}, which only qemu-img reads, and that is not installed "
                "here; get it from https://www.qemu.org/download/, `sudo apt install "
                "qemu-utils` on Debian and Ubuntu, `brew install qemu` on macOS.",
                name=self._file.name,
                format=self._format,
            ) from None
        # Could not open 'json:…': the reason
        reason = result.err.partition("\n")[0].rpartition("': ")[2]
        self._file.check(
            result.code == 0,
            N_(
                "{name}: qemu-img cannot read it as {format}: {reason}; "
                "copy or make the disk again."
            ),
            format=self._format,
            reason=one_line(reason),
        )
        try:
            return json.loads(result.out)
        except ValueError:
            raise self._file.wrong(
                N_("{name}: what qemu-img says of it makes no sense; copy or make the disk again.")
            ) from None

    def _count(self, text: str) -> None:
        """Stop it when it has said too much: a small file can have a map without end."""
        self._said += len(text)
        self._file.check(
            self._said <= LONGEST_ANSWER,
            N_("{name}: its map is longer than this reader takes; copy or make the disk again."),
        )


def _extent(entry: dict[str, Any]) -> Extent:
    at: int | None = None
    if not entry["data"]:
        kind = "zero" if entry["present"] else "parent"
    elif "offset" not in entry:
        kind = "unknown"
    else:
        kind = "data"
        at = entry["offset"]
    return Extent(entry["start"], entry["length"], kind, at)


class _QemuMap(AllocationMap):
    """The map that qemu-img tells, asked for when it is first needed."""

    def __init__(self, qemu_img: QemuImg, length: int) -> None:
        self.length = length
        self._qemu_img = qemu_img

    @cached_property
    def _told(self) -> ExtentList:
        return ExtentList(*self._qemu_img.extents())

    def pieces(self, start: int, stop: int) -> Iterator[Extent]:
        return self._told.pieces(start, stop)

    def is_unknown(self) -> bool:
        return self._told.is_unknown()


class _QemuDisk(Disk):
    """A disk of which only `signature` is read here."""

    signature: ClassVar[FieldTable]

    def load(self, file: DiskFile) -> None:
        self.fields = DiskHeader(file, 0, "<", self.signature).fields
        qemu_img = QemuImg(file, self.path, self.format)
        info = qemu_img.info()
        self.capacity = int(info["virtual-size"])
        self.block_size = int(info.get("cluster-size", 0))
        self.maps = [_QemuMap(qemu_img, self.capacity)]
        if "backing-filename" in info:
            self.follow(info["backing-filename"])
            self.parent_raw = info.get("backing-filename-format") == "raw"


class Qed(_QemuDisk):
    """QEMU's short-lived second format."""

    format = "QED"
    variant = N_("dynamic")
    kind = N_("clusters")
    gap = Gap("other", N_("header and tables"))
    signature: ClassVar[FieldTable] = {
        Octets(0, 4, N_("signature"), in_file_order): N_("the letters QED and a zero byte")
    }


class Vhdx(_QemuDisk):
    """Hyper-V's since 2012. Whether it is fixed, and where its blocks are, QEMU does not tell."""

    format = "VHDX"
    gap = Gap("other", N_("header, map and data"))
    signature: ClassVar[FieldTable] = {
        Octets(0, 8, N_("file signature"), words): N_("the word vhdxfile")
    }
