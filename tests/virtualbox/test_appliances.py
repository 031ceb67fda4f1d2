"""Appliances from anywhere: what a hostile one does to what lies outside the lesson's folder, which must be nothing."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from labkit.errors import LabError
from labkit.virtualbox.engine import Bench, advice

DISK, HREF = "m-disk001.vmdk", 'href="m-disk001.vmdk"'
DAMAGED, TAKEN = r"is damaged, or no appliance", ""  # we refuse it; VirtualBox takes it
ELSEWHERE = r"outside the new machine's folder"  # we refuse it, because VirtualBox would write or remove there
FAILED = r"Appliance (read|import) failed"  # VirtualBox refuses it


class Made(NamedTuple):
    """What a good appliance holds, and a folder of the student's that a hostile one is after."""

    ovf: str
    disk: bytes
    theirs: Path

    def edited(self, *changes: tuple[str, str], disk: str = DISK) -> bytes:
        """The appliance with words in its OVF replaced, and its disk packed under another name."""
        text = self.ovf
        for old, new in changes:
            assert old in text
            text = text.replace(old, new.replace("THEIRS", str(self.theirs)))
        return tar(("m.ovf", text.encode()), (disk.replace("THEIRS", str(self.theirs)), self.disk))

    def moved(self, to: str) -> bytes:
        """The appliance with its disk called so, in the OVF and in the archive."""
        return self.edited((HREF, f'href="{to}"'), disk=to)

    def packed(
        self, *members: tuple[str, bytes] | tuple[str, str, bytes], ovf: bool = True
    ) -> bytes:
        """The appliance's OVF with these members."""
        return tar(*[("m.ovf", self.ovf.encode())] * ovf, *members)

    def entities(self, doctype: str, use: str = "&x;") -> bytes:
        return self.edited(
            ("?>", f"?><!DOCTYPE Envelope {doctype}>"),
            ("A virtual machine", use),
            (">m<", f">{use}<"),
        )

    def sized(self, size: bytes) -> bytes:
        """The appliance whose archive lies about the size of the disk."""
        made = self.packed((DISK, self.disk))
        return header(made, made.index(DISK.encode() + b"\0"), 124, size)


def tar(*members: tuple[str, bytes] | tuple[str, str, bytes]) -> bytes:
    """An archive of files (name, data) and of links (name, target, type), exactly as named."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, *what in members:
            info = tarfile.TarInfo(name)
            if isinstance(what[0], str):
                info.linkname, info.type = what[0], what[1]  # type: ignore[misc]
            else:
                info.size = len(what[0])
            archive.addfile(info, io.BytesIO(b"" if info.linkname else what[0]))  # type: ignore[arg-type]
    return out.getvalue()


def header(archive: bytes, at: int, field: int, value: bytes) -> bytes:
    """The archive with a field of the header at that byte changed, and its sum."""
    made = bytearray(archive)
    made[at + field : at + field + len(value)], made[at + 148 : at + 156] = value, b" " * 8
    made[at + 148 : at + 156] = b"%06o\0 " % sum(made[at : at + 512])
    return bytes(made)


def machine(attribute: str) -> Callable[[Made], bytes]:
    return lambda made: made.edited((' snapshotFolder="Snapshots"', f" {attribute}"))


def hardware(text: str) -> Callable[[Made], bytes]:
    return lambda made: made.edited(("<Clipboard/>", text))


BOMB = "".join(
    f'<!ENTITY {"x" if at == 9 else f"e{at}"} "{f"&e{at - 1};" * 10 if at else "ha" * 50}">'
    for at in range(10)
)
HOSTILE: dict[str, tuple[Callable[[Made], bytes], str]] = {
    "climbing member": (lambda made: made.edited(disk="../../evil.vmdk"), FAILED),
    "absolute member": (lambda made: made.edited(disk="THEIRS/evil.vmdk"), FAILED),
    "climbing href": (lambda made: made.edited((HREF, 'href="../../evil.vmdk"')), ELSEWHERE),
    "absolute href": (lambda made: made.edited((HREF, 'href="THEIRS/own.vmdk"')), ELSEWHERE),
    "climbing both": (lambda made: made.moved("../../evil.vmdk"), ELSEWHERE),
    "absolute both": (lambda made: made.moved("THEIRS/evil.vmdk"), ELSEWHERE),
    "both, Windows": (lambda made: made.moved("..\\..\\evil.vmdk"), ELSEWHERE),
    "both, a drive": (lambda made: made.moved("C:evil.vmdk"), ELSEWHERE),
    "href in references": (
        lambda made: made.edited((HREF, 'href="&#46;./../x.vmdk"'), disk="../../x.vmdk"),
        ELSEWHERE,
    ),
    "second OVF": (
        lambda made: made.packed(("b.ovf", made.moved("../../x.vmdk")), (DISK, made.disk)),
        TAKEN,
    ),
    "OVF not first": (lambda made: tar((DISK, made.disk), ("m.ovf", made.ovf.encode())), DAMAGED),
    "a decoy first": (
        lambda made: tar(
            ("m.txt", made.ovf.encode()), ("m.ovf", made.ovf.encode()), (DISK, made.disk)
        ),
        DAMAGED,
    ),
    "a decoy in a long name": (
        lambda made: header(made.packed((DISK, made.disk)), 0, 156, b"L"),
        DAMAGED,
    ),
    "symlink member": (
        lambda made: made.packed((DISK, f"{made.theirs}/own.vmdk", tarfile.SYMTYPE)),
        FAILED,
    ),
    "symlink, then file": (
        lambda made: made.packed(
            (DISK, f"{made.theirs}/own.vmdk", tarfile.SYMTYPE), (DISK, made.disk)
        ),
        FAILED,
    ),
    "hard link member": (
        lambda made: made.packed((DISK, f"{made.theirs}/own.vmdk", tarfile.LNKTYPE)),
        FAILED,
    ),
    "OVF a symlink": (
        lambda made: tar(("m.ovf", "/etc/passwd", tarfile.SYMTYPE), (DISK, made.disk)),
        DAMAGED,
    ),
    "names climb": (
        lambda made: made.edited(
            ('name="m"', 'name="../../evil"'),
            ('ovf:id="m"', 'ovf:id="../../evil"'),
            (">m<", ">../../evil<"),
        ),
        TAKEN,
    ),
    "name is ..": (lambda made: made.edited(('name="m"', 'name=".."'), (">m<", ">..<")), TAKEN),
    "name is absolute": (lambda made: made.edited(('name="m"', 'name="THEIRS/evil"')), TAKEN),
    "saved state": (machine('snapshotFolder="Snapshots" stateFile="THEIRS/own.txt"'), ELSEWHERE),
    "snapshots": (machine('snapshotFolder="THEIRS"'), ELSEWHERE),
    "snapshots climb": (machine('snapshotFolder="../../x"'), ELSEWHERE),
    "trace": (
        hardware('<Network><Adapter slot="0" trace="true" tracefile="THEIRS/own.txt"/></Network>'),
        ELSEWHERE,
    ),
    "serial port": (
        hardware(
            '<UART><Port slot="0" enabled="true" IOBase="0x3f8" IRQ="4" hostMode="HostDevice" '
            'path="THEIRS/own.txt"/></UART>'
        ),
        ELSEWHERE,
    ),
    "TPM": (hardware('<TrustedPlatformModule type="v2_0" location="THEIRS/own.txt"/>'), ELSEWHERE),
    "shared folder": (
        hardware(
            '<SharedFolders><SharedFolder name="x" hostPath="THEIRS" writable="true"/>'
            "</SharedFolders>"
        ),
        TAKEN,
    ),  # and leaves the shared folder out
    "XML bomb": (lambda made: made.entities(f"[{BOMB}]"), DAMAGED),
    "long entity": (
        lambda made: made.entities(f'[<!ENTITY x "{"x" * 1_000_000}">]', "&x;" * 5000),
        DAMAGED,
    ),
    "external entity": (
        lambda made: made.entities('[<!ENTITY x SYSTEM "file:///etc/passwd">]'),
        DAMAGED,
    ),
    "external DTD": (lambda made: made.entities('SYSTEM "file:///etc/passwd"', "x"), DAMAGED),
    "huge OVF": (lambda made: made.edited(("A virtual machine", "x" * (17 << 20))), DAMAGED),
    "truncated": (lambda made: made.edited()[:30000], FAILED),
    "truncated OVF": (lambda made: made.edited()[:3000], DAMAGED),
    "capacity 2^63": (
        lambda made: made.edited(('capacity="16777216"', f'capacity="{1 << 63}"')),
        FAILED,
    ),
    "capacity 2^63-1": (
        lambda made: made.edited(('capacity="16777216"', f'capacity="{(1 << 63) - 1}"')),
        TAKEN,
    ),
    "disk of 2^63": (
        lambda made: made.packed(
            (DISK, made.disk[:12] + struct.pack("<Q", 1 << 54) + made.disk[20:])
        ),
        TAKEN,
    ),  # all of it zeros, which take no room
    "file too small": (lambda made: made.sized(b"00000001000\0"), FAILED),
    "file too large": (
        lambda made: made.sized(b"77777777777\0"),
        TAKEN,
    ),  # it reads as far as the disk goes
    "file of 2^62": (lambda made: made.sized(b"\x80\0\0\0" + struct.pack(">Q", 1 << 62)), FAILED),
    "OVF lies about it": (
        lambda made: made.edited((HREF, f'{HREF} ovf:size="{(1 << 63) - 1}"')),
        TAKEN,
    ),
    "disk twice": (
        lambda made: made.packed((DISK, made.disk), (DISK, b"x")),
        TAKEN,
    ),  # the first one
    "OVF twice": (lambda made: made.packed((DISK, made.disk), ("m.ovf", b"x")), TAKEN),
    "empty": (lambda made: b"", DAMAGED),
    "zeros": (lambda made: b"\0" * 10240, DAMAGED),
    "no archive": (lambda made: b"hello\n" * 1000, DAMAGED),
    "empty disk": (lambda made: made.packed((DISK, b"")), FAILED),
    "no disk": (lambda made: made.packed(), FAILED),
    "wrong manifest": (
        lambda made: made.packed(
            (DISK, made.disk), ("m.mf", b"SHA1 (m.ovf) = " + b"0" * 40 + b"\n")
        ),
        FAILED,
    ),
    "manifest of one line": (
        lambda made: made.packed((DISK, made.disk), ("m.mf", b"SHA1 (m.ovf) = " * 2_000_000)),
        FAILED,
    ),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What VirtualBox itself packs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_HOME", str(tmp_path_factory.mktemp("good")))
        bench = Bench.open("77", ["VBoxManage"])
        try:
            for line in (
                "createvm --name m --register",
                "createmedium disk --filename m.vmdk --size 16 --format VMDK",
                "storagectl m --name SATA --add sata --portcount 1",
                "storageattach m --storagectl SATA --port 0 --device 0 --type hdd --medium m.vmdk",
                "export m --output m.ova",
            ):
                assert bench.run(["VBoxManage", *line.split()]).code == 0, line
            with tarfile.open(bench.folder / "m.ova") as archive:
                return {
                    member.name: file.read()
                    for member in archive
                    if (file := archive.extractfile(member))
                }
        finally:
            bench.clean()


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A student's home with a VirtualBox of their own, and files above the bench that an archive might hit."""
    for file in (
        "home/own.vmdk",
        "home/own.txt",
        "home/.config/VirtualBox/VirtualBox.xml",
        "labkit-home/evil.vmdk",
        "labkit-home/bench/evil.vmdk",
        "evil.vmdk",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("a student's own")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path / "home"


@pytest.fixture
def bench(theirs: Path) -> Iterator[Bench]:
    found = Bench.open("77", ["VBoxManage"])
    yield found
    found.clean()


def outside(bench: Bench, top: Path) -> dict[str, tuple[int, int, int]]:
    """All that lies around the bench, with size, time of change and kind."""
    return {
        str(path): (about.st_size, about.st_mtime_ns, about.st_mode)
        for path in [top, *top.rglob("*")]
        if not path.is_relative_to(bench.folder)
        for about in [path.lstat()]
    }


def most(bench: Bench) -> int:
    """The most memory, in MiB, that a VirtualBox of the bench has ever held (Linux says it)."""
    assert bench.virtualbox
    files = [Path(f"/proc/{process.pid}/status") for process in bench.virtualbox.processes()]
    return max(
        (
            int(found[1]) >> 10
            for file in files
            if file.exists() and (found := re.search(r"^VmHWM:\s+(\d+)", file.read_text(), re.M))
        ),
        default=0,
    )


@pytest.mark.virtualbox
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_appliance_changes_nothing_outside(
    good: dict[str, bytes], bench: Bench, theirs: Path, tmp_path: Path, name: str
) -> None:
    build, told = HOSTILE[name]
    made = Made(good["m.ovf"].decode(), good[DISK], theirs)
    (bench.folder / "evil.ova").write_bytes(build(made))
    (bench.folder / "good.ova").write_bytes(made.edited())
    before, start = outside(bench, tmp_path), time.monotonic()
    try:
        result = bench.run(["VBoxManage", "import", "evil.ova"])
        assert told in (FAILED, TAKEN) and bool(result.code) == (told == FAILED), result.text
        assert re.search(told, result.text) and "\n" not in advice(result), result.text
        assert bool(advice(result)) == bool(result.code)
    except LabError as error:
        assert (
            told in (ELSEWHERE, DAMAGED) and re.search(told, str(error)) and "\n" not in str(error)
        ), str(error)
    assert (
        time.monotonic() - start < 30 and most(bench) < 200
    )  # a server that ends meanwhile costs 10 s
    assert outside(bench, tmp_path) == before
    for found in bench.world()[
        "machines"
    ]:  # the name of one says nothing about where its files are
        assert bench.run(["VBoxManage", "snapshot", found["uuid"], "take", "s"]).code == 0
    after = bench.run(["VBoxManage", "import", "good.ova"])
    assert after.code == 0, after.text
    assert all(medium["location"].startswith("$PWD/") for medium in bench.world()["media"])
    assert bench.clean(since=set()) == [] and bench.world()["machines"] == []
    assert outside(bench, tmp_path) == before


@pytest.mark.virtualbox
@pytest.mark.parametrize("name", ["climbing both", "absolute both", "saved state"])
def test_what_we_refuse_virtualbox_would_do(
    good: dict[str, bytes], bench: Bench, theirs: Path, tmp_path: Path, name: str
) -> None:
    """Why we look first. Once VirtualBox refuses them itself, this fails, and `examine` may go."""
    (bench.folder / "evil.ova").write_bytes(
        HOSTILE[name][0](Made(good["m.ovf"].decode(), good[DISK], theirs))
    )
    before = outside(bench, tmp_path)
    assert bench.virtualbox and bench.virtualbox.run(["import", "evil.ova"]).code == 0
    if name == "saved state":
        bench.virtualbox.ask(["unregistervm", "m", "--delete"])
        assert not (theirs / "own.txt").exists()
    assert outside(bench, tmp_path) != before


@pytest.mark.virtualbox
def test_an_appliance_unpacked_is_looked_at_too(good: dict[str, bytes], bench: Bench) -> None:
    text = good["m.ovf"].decode()
    (bench.folder / DISK).write_bytes(good[DISK])
    (bench.folder / "evil.OVF").write_text(text.replace(HREF, 'href="../77/m-disk001.vmdk"'))
    (bench.folder / "good.ovf").write_text(text)
    with pytest.raises(LabError, match=ELSEWHERE):
        bench.run(["VBoxManage", "import", "--dry-run", "$PWD/evil.OVF"])
    assert bench.run(["VBoxManage", "import", "good.ovf"]).code == 0


# -- tar by itself ------------------------------------------------------------------------------

LINK = [("door", "../../../home", tarfile.SYMTYPE)]
ARCHIVES: dict[str, list[tuple[str, bytes] | tuple[str, str, bytes]]] = {
    "climbing": [("../../evil.vmdk", b"evil"), ("sub/../../evil.vmdk", b"evil")],
    "absolute": [("THEIRS/own.txt", b"evil")],
    "through a link": [*LINK, ("door/own.txt", b"evil")],
    "a link, for next time": [*LINK],
    "an absolute link": [("door", "THEIRS", tarfile.SYMTYPE)],
    "a link to a file": [("own.txt", "THEIRS/own.txt", tarfile.SYMTYPE), ("own.txt", b"evil")],
    "a hard link": [("own.txt", "THEIRS/own.txt", tarfile.LNKTYPE), ("own.txt", b"evil")],
    "links in a ring": [("door", "round", tarfile.SYMTYPE), ("round", "door", tarfile.SYMTYPE)],
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_unpacked_changes_nothing_outside(
    theirs: Path, tmp_path: Path, name: str
) -> None:
    bench = Bench.open("78", ["tar"])
    members = [
        tuple(
            word.replace("THEIRS", str(theirs)) if isinstance(word, str) else word
            for word in member
        )
        for member in ARCHIVES[name]
    ]
    (bench.folder / "evil.tar").write_bytes(tar(*members))  # type: ignore[arg-type]
    (bench.folder / "next.tar").write_bytes(
        tar(("door/own.txt", b"evil"), ("door/new.txt", b"evil"))
    )
    before = outside(bench, tmp_path)
    for archive in ("evil.tar", "evil.tar", "next.tar"):
        try:
            bench.run(["tar", "-xf", archive])
        except LabError as error:
            assert "leads outside" in str(error) and "\n" not in str(error)
    assert outside(bench, tmp_path) == before
    if "door" in str(ARCHIVES[name]) and "ring" not in name and sys.platform == "linux":
        assert (bench.folder / "door").is_symlink()  # so that plain tar would go through it
        subprocess.run(["tar", "-xf", "next.tar"], cwd=bench.folder, check=True)
        assert (theirs / "new.txt").exists()
    assert bench.clean() == [] and os.listdir(theirs)
