"""What a hostile appliance or archive does to what lies outside the lesson's folder: nothing.

Those that are refused before VirtualBox is asked are in test_untrusted.py; why they are is here.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from samples.appliances import (
    DAMAGED,
    DISK,
    ELSEWHERE,
    EVIL,
    HREF,
    Appliance,
    Build,
    Member,
    hardware,
    tar,
    with_header,
)
from samples.benches import MACHINE, do, opened, outside

from labkit.errors import LabError
from labkit.virtualbox.engine import Bench
from labkit.virtualbox.output import advice


def sized(size: bytes) -> Build:
    """The archive lies about the size of the disk."""

    def build(good: Appliance) -> bytes:
        archive = good.edited()
        return with_header(archive, archive.index(DISK.encode() + b"\0"), 124, size)

    return build


def linked(kind: bytes) -> Build:
    """The disk is a link to one of the student's."""
    return lambda good: good.packed(Member(DISK, b"", kind, good.aimed("THEIRS/own.vmdk")))


def twice(good: Appliance) -> bytes:
    """The disk is a link to one of the student's, and then a file."""
    link = Member(DISK, b"", tarfile.SYMTYPE, good.aimed("THEIRS/own.vmdk"))
    return good.packed(link, Member(DISK, good.disk))


def huge(good: Appliance) -> bytes:
    """The disk is of 2^63 bytes, all of them zeros, which take no room."""
    return good.packed(Member(DISK, good.disk[:12] + struct.pack("<Q", 1 << 54) + good.disk[20:]))


def with_file(name: str, data: bytes) -> Build:
    """After the disk one more file."""
    return lambda good: good.packed(Member(DISK, good.disk), Member(name, data))


CAPACITY, LARGE = 'capacity="16777216"', (1 << 63) - 1
SIGNED = b"SHA1 (m.ovf) = "
# VirtualBox itself refuses these.
FAILED: dict[str, Build] = {
    "climbing member": lambda good: good.edited(disk=EVIL),
    "absolute member": lambda good: good.edited(disk="THEIRS/evil.vmdk"),
    "symlink member": linked(tarfile.SYMTYPE),
    "symlink, then file": twice,
    "hard link member": linked(tarfile.LNKTYPE),
    "truncated": lambda good: good.edited()[:30000],
    "capacity 2^63": lambda good: good.edited((CAPACITY, f'capacity="{LARGE + 1}"')),
    "file too small": sized(b"00000001000\0"),
    "file of 2^62": sized(b"\x80\0\0\0" + struct.pack(">Q", 1 << 62)),
    "empty disk": lambda good: good.packed(Member(DISK)),
    "no disk": lambda good: good.packed(),
    "wrong manifest": with_file("m.mf", SIGNED + b"0" * 40 + b"\n"),
    "manifest of one line": with_file("m.mf", SIGNED * 2_000_000),
}
# VirtualBox takes these, and they do no harm.
TAKEN: dict[str, Build] = {
    "names climb": lambda good: good.edited(
        ('name="m"', 'name="../../evil"'),
        ('ovf:id="m"', 'ovf:id="../../evil"'),
        (">m<", ">../../evil<"),
    ),
    "name is ..": lambda good: good.edited(('name="m"', 'name=".."'), (">m<", ">..<")),
    "name is absolute": lambda good: good.edited(('name="m"', 'name="THEIRS/evil"')),
    # Left out.
    "shared folder": hardware(
        '<SharedFolders><SharedFolder name="x" hostPath="THEIRS" writable="true"/></SharedFolders>'
    ),
    "capacity 2^63-1": lambda good: good.edited((CAPACITY, f'capacity="{LARGE}"')),
    "disk of 2^63": huge,
    # Read as far as the disk goes.
    "file too large": sized(b"77777777777\0"),
    "OVF lies about it": lambda good: good.edited((HREF, f'{HREF} ovf:size="{LARGE}"')),
    # Of two the first.
    "second OVF": lambda good: good.packed(
        Member("b.ovf", good.ovf.replace(DISK, EVIL).encode()), Member(DISK, good.disk)
    ),
    "disk twice": with_file(DISK, b"x"),
    "OVF twice": with_file("m.ovf", b"x"),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What VirtualBox itself packs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_HOME", str(tmp_path_factory.mktemp("good")))
        with opened("VBoxManage") as bench:
            do(bench, *MACHINE, "export m --output m.ova")
            with tarfile.open(bench.folder.path / "m.ova") as archive:
                files = {member.name: archive.extractfile(member) for member in archive}
                return {name: file.read() for name, file in files.items() if file}


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A student's home with a VirtualBox, and files above the bench that an archive might hit."""
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
def good(exported: dict[str, bytes], theirs: Path) -> Appliance:
    return Appliance(exported["m.ovf"].decode(), exported[DISK], theirs)


@pytest.fixture
def bench(theirs: Path) -> Iterator[Bench]:
    with opened("VBoxManage") as bench:
        yield bench


def most(bench: Bench) -> int:
    """The most memory, in MiB, that a VirtualBox of the bench has ever held (Linux says it)."""
    assert bench.virtualbox
    sizes = [0]
    for process in bench.virtualbox.processes():
        file = Path(f"/proc/{process.pid}/status")
        text = file.read_text() if file.exists() else ""
        sizes += [int(size) >> 10 for size in re.findall(r"^VmHWM:\s+(\d+)", text, re.M)]
    return max(sizes)


@pytest.mark.live("virtualbox")
@pytest.mark.parametrize("name", [*FAILED, *TAKEN])
def test_a_hostile_appliance_changes_nothing_outside(
    good: Appliance, bench: Bench, tmp_path: Path, name: str
) -> None:
    (bench.folder.path / "evil.ova").write_bytes((FAILED | TAKEN)[name](good))
    (bench.folder.path / "good.ova").write_bytes(good.edited())
    before = outside(bench.folder, tmp_path)
    result = bench.command(["VBoxManage", "import", "evil.ova"])
    assert bool(result.code) == bool(advice(result)) == (name in FAILED), result.text
    assert name in TAKEN or re.search(r"Appliance (read|import) failed", result.text)
    assert "\n" not in advice(result) and most(bench) < 200
    assert outside(bench.folder, tmp_path) == before
    # The name of a machine says nothing about where its files are.
    for machine in bench.world()["machines"]:
        assert bench.command(["VBoxManage", "snapshot", machine["uuid"], "take", "s"]).code == 0
    after = bench.command(["VBoxManage", "import", "good.ova"])
    assert after.code == 0, after.text
    assert all(medium["location"].startswith("$PWD/") for medium in bench.world()["media"])
    assert bench.clean(since=set()) == [] and bench.world()["machines"] == []
    assert outside(bench.folder, tmp_path) == before


@pytest.mark.live("virtualbox")
@pytest.mark.parametrize(
    "name, then",
    [
        *((name, "") for name in ("climbing", "absolute", "escaped", "OVF in capitals")),
        *((name, "") for name in ("behind a disk", "behind a text", "entity in href", "huge OVF")),
        ("snapshots", "snapshot m take s"),
        ("snapshots climb", "snapshot m take s"),
        ("saved state", "unregistervm m --delete"),
    ],
)
def test_what_we_refuse_virtualbox_would_do(
    good: Appliance, bench: Bench, tmp_path: Path, name: str, then: str
) -> None:
    """Why we look first. Once VirtualBox refuses one itself, this fails, and that rule may go."""
    (bench.folder.path / "evil.ova").write_bytes((ELSEWHERE | DAMAGED)[name](good))
    before = outside(bench.folder, tmp_path)
    assert bench.virtualbox and bench.virtualbox.run(["import", "evil.ova"]).code == 0
    if then:
        assert outside(bench.folder, tmp_path) == before
        bench.virtualbox.ask(then.split())
    assert outside(bench.folder, tmp_path) != before


@pytest.mark.live("virtualbox")
@pytest.mark.parametrize("name", ["trace", "serial port", "TPM"])
def test_what_we_refuse_virtualbox_would_use_once_the_machine_starts(
    good: Appliance, bench: Bench, name: str
) -> None:
    (bench.folder.path / "evil.ova").write_bytes(ELSEWHERE[name](good))
    assert bench.virtualbox and bench.virtualbox.run(["import", "evil.ova"]).code == 0
    assert f'"{good.theirs}/own.txt"' in (bench.folder.path / "m" / "m.vbox").read_text("utf-8")


# -- tar by itself ------------------------------------------------------------------------------

DOOR = Member("door", b"", tarfile.SYMTYPE, "../../../home")
THEIRS = Member("own.txt", b"evil")
ARCHIVES = {
    "climbing": [Member("../../evil.vmdk", b"evil"), Member("sub/../../evil.vmdk", b"evil")],
    "absolute": [Member("THEIRS/own.txt", b"evil")],
    "through a link": [DOOR, Member("door/own.txt", b"evil")],
    "a link, for next time": [DOOR],
    "an absolute link": [DOOR._replace(target="THEIRS")],
    "a link to a file": [Member("own.txt", b"", tarfile.SYMTYPE, "THEIRS/own.txt"), THEIRS],
    "a hard link": [Member("own.txt", b"", tarfile.LNKTYPE, "THEIRS/own.txt"), THEIRS],
    "links in a ring": [
        DOOR._replace(target="round"),
        Member("round", b"", tarfile.SYMTYPE, "door"),
    ],
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_unpacked_changes_nothing_outside(
    theirs: Path, plain: Bench, tmp_path: Path, name: str
) -> None:
    aim = Appliance("", b"", theirs).aimed
    members = [
        Member(aim(member.name), member.data, member.kind, aim(member.target))
        for member in ARCHIVES[name]
    ]
    (plain.folder.path / "evil.tar").write_bytes(tar(*members))
    again = tar(Member("door/own.txt", b"evil"), Member("door/new.txt", b"evil"))
    (plain.folder.path / "next.tar").write_bytes(again)
    before = outside(plain.folder, tmp_path)
    for archive in ("evil.tar", "evil.tar", "next.tar"):
        try:
            plain.command(["tar", "-xf", archive])
        except LabError as error:
            assert "leads outside" in str(error) and "\n" not in str(error)
    assert outside(plain.folder, tmp_path) == before
    door = DOOR.name in {member.name for member in members} and "ring" not in name
    if door and sys.platform == "linux":
        assert (plain.folder.path / "door").is_symlink()  # so that plain tar would go through it
        subprocess.run(["tar", "-xf", "next.tar"], cwd=plain.folder.path, check=True)
        assert (theirs / "new.txt").exists()
    assert plain.remove() == [] and os.listdir(theirs)
