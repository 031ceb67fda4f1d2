"""The bench: how its programs are found, what a command is, a folder that is as it was."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from samples.benches import ATTACH, MACHINE, PROGRAMS, do, opened, paths
from samples.errors import refused

from labkit.commands import Result
from labkit.errors import MissingProgram
from labkit.virtualbox import engine, guest
from labkit.virtualbox.engine import Bench, key, left_over
from labkit.virtualbox.output import advice
from labkit.virtualbox.snapshots import machine_tree


def test_a_command_is_the_same_however_an_option_is_spelt() -> None:
    assert key(["VBoxManage", "createvm", "--name=a=b", "-x=1"]) == (
        *("VBoxManage", "createvm", "--name", "a=b", "-x=1"),
    )
    assert key(["qemu-img", "--output=json"]) == ("qemu-img", "--output=json")


@pytest.mark.parametrize(
    "line, slow",
    [
        ("VBoxManage clonevm x", True),
        ("VBoxManage list vms", False),
        ("VBoxManage", False),
        ("qemu-img snapshot x", False),
    ],
)
def test_what_may_take_long(line: str, slow: bool) -> None:
    assert Bench.parse(line.split()).slow == slow


def test_pages_of_usage_are_left_out() -> None:
    mistake = "VBoxManage: error: Invalid command 'foo'\n"
    usage = "Usage - Oracle VirtualBox:\n" + "  VBoxManage x\n" * 300
    wrong = Result(("VBoxManage",), 2, (("err", mistake + usage + mistake),))
    assert Bench.brief(wrong) == mistake.rstrip()
    asked = Result(("VBoxManage",), 0, (("out", f"\n{usage}"),))  # `VBoxManage help`
    assert Bench.brief(asked) == asked.text


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(engine, "_SBIN", ())
    monkeypatch.setattr(engine.program, "_PLACES", ())


def test_a_missing_program_says_where_to_get_it(own_home: Path, nothing_installed: None) -> None:
    for name in set(Bench.programs) - {"VBoxManage", guest.WRITE}:
        with pytest.raises(MissingProgram, match=f"^{name} is not installed here; get it from .+$"):
            Bench("77", [name]).ready()
    assert left_over() == []
    looks = list(Bench.examine())
    assert [look.fine for look in looks] == [False, False]
    assert "VirtualBox is not installed here" in looks[0].text
    assert all("replay their recordings" in look.text for look in looks)
    with pytest.raises(MissingProgram, match="VirtualBox is not installed here"):
        Bench("77", ["VBoxManage"])


def test_a_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "file"))
    assert "set LABKIT_HOME to a folder of yours" in refused(Bench("77", []).ready)


def test_a_lesson_without_virtualbox_runs_none(plain: Bench) -> None:
    line = refused(plain.command, ["VBoxManage", "list", "vms"])
    assert line == "This lesson works without VirtualBox."


def test_without_the_kernel_driver_it_says_what_is_lacking() -> None:
    bench = Bench("77", [])
    assert bench.lacking == ""
    bench.virtualbox = SimpleNamespace(driver=False)  # type: ignore[assignment]
    assert "machines cannot be started" in bench.lacking


def test_a_disk_of_the_folder_is_read_and_none_outside(plain: Bench) -> None:
    (plain.folder.path / "a.img").write_bytes(b"x" * 512)
    for name in ("a.img", "$PWD/a.img"):
        with plain.disk(name) as disk:
            assert disk.capacity == 512
    for name in ("/etc/passwd", "../a.img", "$PWD/../a.img"):
        assert "outside this lesson's folder" in refused(plain.disk, name)


def test_what_qemu_io_is_told_in_a_cell_names_what_is_inside_alone(plain: Bench) -> None:
    told = "open /home/me/own.img\nwrite 0 1M\n"
    command = Bench.parse(["qemu-io"])
    assert "outside this lesson's folder" in refused(plain.run, command, told, None)
    assert "outside this" in refused(plain.command, ["qemu-img", "info", "$PWD/../x"])


def test_what_lessons_left_is_swept(own_home: Path, nothing_installed: None) -> None:
    for lesson in ("77", "78", "79"):
        Bench(lesson, []).ready()
    assert left_over() == ["77", "78", "79"]
    assert Bench.sweep(["78", "12"]) == [] and left_over() == ["77", "79"]
    assert Bench.sweep([]) == [] and left_over() == []


def test_a_lesson_that_begins_anew_has_an_empty_folder(plain: Bench) -> None:
    (plain.folder.path / "a").touch()
    assert plain.clean() == [] and plain.folder.path.is_dir() and paths(plain) == []


def test_a_trial_is_undone_also_if_it_fails(plain: Bench) -> None:
    (plain.folder.path / "a").write_text("before")
    fingerprint = plain.fingerprint()
    with pytest.raises(ZeroDivisionError), plain.undone():
        (plain.folder.path / "a").write_text("after")
        (plain.folder.path / "b").touch()
        raise ZeroDivisionError
    assert plain.fingerprint() == fingerprint and left_over() == ["77"]


# -- the real programs --------------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 4 MiB, for root."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.live("virtualbox", "qemu-img")
class TestReal:
    def test_commands_run_in_the_folder_which_is_called_pwd(self, bench: Bench) -> None:
        do(bench, *MACHINE, "createmedium disk --filename $PWD/sub.vdi --size 8")
        told = bench.command(["VBoxManage", "showmediuminfo", "disk", "m.vmdk"]).out
        assert "Location:       $PWD/m.vmdk\n" in told and str(bench.folder.path) not in told
        assert {medium["location"] for medium in bench.world()["media"]} == {
            *("$PWD/m.vmdk", "$PWD/sub.vdi"),
        }
        versions = bench.versions()
        assert versions["VirtualBox"].startswith("VirtualBox ")
        assert versions["QEMU"].startswith("QEMU ")
        assert [look.fine for look in Bench.examine()] == [True, True]

    def test_a_trial_leaves_no_trace(self, bench: Bench) -> None:
        do(bench, *MACHINE)
        before, fingerprint = bench.world(), bench.fingerprint()
        with bench.undone():
            do(bench, "snapshot m take s", "unregistervm m --delete")
            assert bench.world() != before
        assert bench.world() == before and bench.fingerprint() == fingerprint

    def test_what_a_lesson_left_is_swept_whatever_runs_there(self, bench: Bench) -> None:
        do(bench, *MACHINE)
        assert bench.virtualbox and list(bench.virtualbox.processes())
        assert Bench.sweep(["77"]) == [] and left_over() == []
        assert not list(bench.virtualbox.processes())

    def test_settings_of_our_own_are_registered_again(self, bench: Bench) -> None:
        do(
            bench,
            *MACHINE,
            "snapshot m take s",
            "clonevm m --snapshot s --options link --name seat",
            "registervm seat/seat.vbox",
            "sharedfolder add seat --name x --hostpath $PWD",
            "unregistervm seat",
            "unregistervm m",
            "registervm m/m.vbox",
        )

    def test_the_disk_of_the_computer_is_full(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with small_disk(tmp_path / "small") as small:
            monkeypatch.setenv("LABKIT_HOME", str(small))
            with opened(*PROGRAMS) as bench:
                do(bench, *MACHINE)
                big = "createmedium disk --filename big.vdi --size 64 --variant Fixed"
                result = bench.command(["VBoxManage", *big.split()])
                assert result.code and "free some space" in advice(result), result.text
                assert '"m"' in bench.command(["VBoxManage", "list", "vms"]).out

    def test_names_that_are_hard(self, bench: Bench) -> None:
        do(bench, *MACHINE)
        names = ['with "quotes"', "a/b\\c", "two\nlines", "snow ☃ and 😀", "-" + "x" * 1000]
        for name in names:
            forged = ["--description", f'SnapshotName-9="{name}"']
            result = bench.command(["VBoxManage", "snapshot", "m", "take", name, *forged])
            assert result.code == 0, result.text
        graph = bench.folder.graph()
        assert [snapshot.name for snapshot in graph.machine("m").snapshots] == names
        text = str(machine_tree(graph))
        assert text and all(len(line) < 300 for line in text.splitlines())

    def test_two_of_one_name(self, bench: Bench) -> None:
        do(bench, *MACHINE, "snapshot m take s", "snapshot m take s")
        assert len(bench.folder.graph().machine("m").snapshots) == 2
        disk = bench.folder.path / "m.vmdk"
        (bench.folder.path / "copy.vmdk").write_bytes(disk.read_bytes())  # of the same UUID
        for line in (
            "createvm --name m --register",
            f"{ATTACH} --port 1 --type hdd --medium copy.vmdk",
        ):
            again = bench.command(["VBoxManage", *line.split()])
            assert again.code and "another name" in advice(again), again.text
