"""A lesson's folder: which files are the lesson's, and what counts as a change."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from samples.benches import DISK, MACHINE, do, paths, settings_only
from samples.machines import ROOT, deep

from labkit.virtualbox.engine import Bench
from labkit.virtualbox.folder import HOME, Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """The settings of a machine "m" with two snapshots, and a file."""
    path = tmp_path / ("una carpeta ñ" if sys.platform == "win32" else 'una "carpeta ñ"')
    folder = settings_only(path, m=deep(2))
    (path / "a.vdi").write_bytes(bytes(8))
    return folder


def test_what_virtualbox_notes_for_itself_is_no_file_of_the_lesson(folder: Folder) -> None:
    for name in ("m.log", "VBox.log.1", "x.dat", "x.part", "m.vbox-prev", "m.vbox-tmp"):
        (folder.path / name).touch()
    (folder.path / "sub").mkdir()
    (folder.path / "sub" / "logbook").touch()
    assert list(map(folder.name, folder.files())) == ["a.vdi", "sub/logbook"]


def test_the_world_says_where_in_the_folder_things_are(folder: Folder) -> None:
    world = folder.world()
    (machine,) = world["machines"]
    assert machine["settings"] == f"$PWD/{HOME}/m.vbox"
    assert {Path(medium["location"]).parent for medium in world["media"]} == {
        Path("$PWD", HOME, "Snapshots")
    }
    assert world["files"] == [{"path": "a.vdi", "size": 8}]
    assert folder.shown(f"in {folder.path}/a.vdi") == "in $PWD/a.vdi"
    assert Folder(folder.path, None).world()["machines"] == []


def test_files_are_in_an_order_that_no_random_uuid_changes(folder: Folder) -> None:
    snapshots = folder.path / "m" / "Snapshots"
    snapshots.mkdir(parents=True)
    for digit, size in (("f", 1), ("0", 3), ("7", 2)):
        name = f"{{{digit * 8}-0000-4000-8000-000000000000}}.vmdk"
        (snapshots / name).write_bytes(bytes(size))
    (folder.path / "m" / "m.vbox").touch()  # goes with its machine, and is none of its files
    assert [file["size"] for file in folder.world()["files"]] == [8, 1, 2, 3]


def test_the_chain_of_a_disk_begins_with_the_current_state(folder: Folder) -> None:
    assert [path.name for path in folder.disk_files("m")] == ["2.vdi", "1.vdi", "0.vdi"]


def test_settings_written_again_with_the_same_words_are_no_change(folder: Folder) -> None:
    settings, disk = folder.path / "m.vbox", folder.path / "a.vdi"
    settings.write_text(ROOT.format(""))
    before = folder.fingerprint()
    settings.write_text(ROOT.format(""))
    (folder.path / "VBox.log").touch()
    assert folder.fingerprint() == before
    disk.write_bytes(bytes(9))
    assert folder.fingerprint() != before


@pytest.mark.live("virtualbox", "qemu-img")
def test_the_fingerprint_is_another_one_when_something_changes(bench: Bench) -> None:
    do(bench, *MACHINE)
    last = bench.fingerprint()
    for line, changes in (
        ("VBoxManage list hdds -l", False),
        ("VBoxManage showvminfo m", False),
        ("qemu-img info m.vmdk", False),
        ("VBoxManage snapshot m take s", True),
        ("VBoxManage modifyvm m --memory 64", True),
    ):
        assert bench.command(line.split()).code == 0
        assert (bench.fingerprint() != last) == changes, line
        last = bench.fingerprint()
    write = ["qemu-io", "-f", "vmdk", "-c", "write -q 0 64k", "m.vmdk"]
    assert bench.command(write).code == 0 and bench.fingerprint() != last


@pytest.mark.live("virtualbox")
def test_the_world_is_what_virtualbox_made(bench: Bench) -> None:
    do(bench, "createvm --name m --register", *DISK, "snapshot m take s")
    (first, second) = sorted(bench.world()["media"], key=lambda medium: bool(medium["parent"]))
    assert first["location"] == "$PWD/m.vmdk" and second["parent"] == first["uuid"]
    assert second["location"] == f"$PWD/m/Snapshots/{{{second['uuid']}}}.vmdk"
    files = {file["path"] for file in bench.world()["files"]}
    assert files == {path for path in paths(bench) if path != "m/m.vbox"}
