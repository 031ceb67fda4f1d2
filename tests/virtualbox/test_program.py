"""VirtualBox in a home of its own: found, kept apart, tidied, ended."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from samples.benches import MACHINE
from samples.errors import refused
from samples.machines import ORACLE
from samples.machines import uuid as number

from labkit.errors import MissingProgram
from labkit.virtualbox import program as virtualbox
from labkit.virtualbox.program import VirtualBox, find_program, users_home

DEBIAN = """WARNING: The character device /dev/vboxdrv does not exist.
\t Please install the virtualbox-dkms package and the appropriate
\t headers, most likely linux-headers-v595.

\t You will not be able to start VMs until this problem is fixed.
"""
PROGRESS = "0%...10%...20%...30%...40%...50%...60%...70%...80%...90%...100%\n"


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VirtualBox:
    monkeypatch.setattr(virtualbox, "find_program", lambda: "VBoxManage")
    return VirtualBox(tmp_path / "home", tmp_path)


@pytest.mark.parametrize("warning", [DEBIAN, ORACLE])
def test_the_warning_about_the_driver_goes_and_is_known(box: VirtualBox, warning: str) -> None:
    assert box.driver
    assert box.tidy(warning + "7.2.22\n") == "7.2.22\n"
    assert not box.driver
    assert box.tidy("UUID: 1\n") == "UUID: 1\n" and not box.driver  # once seen it is not forgotten


@pytest.mark.parametrize(
    "text, left",
    [
        (PROGRESS, ""),
        (PROGRESS + "Medium created.\n", "Medium created.\n"),
        (PROGRESS * 2 + "OK\n", "OK\n"),
        ("0%...NS_ERROR_FAILURE\n", "0%...NS_ERROR_FAILURE\n"),
        ("Usage 100%\n", "Usage 100%\n"),
        ("a\n\n b\n", "a\n\n b\n"),
        ("WARNING: The disk is full\n", "WARNING: The disk is full\n"),
        ("", ""),
    ],
)
def test_only_a_progress_that_is_over_goes(box: VirtualBox, text: str, left: str) -> None:
    assert box.tidy(text) == left and box.driver


def test_what_runs(box: VirtualBox, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = f'"m" {{{number(1)}}}\n"a {{{number(2)}}} b" {{{number(3)}}}\n'
    monkeypatch.setattr(box, "ask", lambda argv: listed)
    assert box.running() == [number(1), number(3)]


@pytest.mark.parametrize("refusals, code", [(0, 0), (1, 0), (2, 1)])
def test_a_call_to_a_server_about_to_go_is_made_again_once(
    box: VirtualBox, tmp_path: Path, refusals: int, code: int
) -> None:
    (tmp_path / "says.py").write_text(
        "import pathlib, sys\n"
        "calls = pathlib.Path('calls')\n"
        "calls.write_text(calls.read_text() + 'x' if calls.exists() else 'x')\n"
        f"if len(calls.read_text()) <= {refusals}:\n"
        "    sys.exit('VBoxManage: error: Failed to create the VirtualBox object!')\n"
    )
    box.program = sys.executable
    assert box.run(["says.py"]).code == code
    assert (tmp_path / "calls").read_text() == "x" * min(refusals + 1, 2)


def test_what_does_not_tell_its_version(box: VirtualBox) -> None:
    box.program = sys.executable
    line = refused(str, box)
    assert "does not tell its version ('Python 3" in line and "install VirtualBox" in line


def test_each_home_has_its_own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtualbox, "find_program", lambda: "VBoxManage")
    one, two = VirtualBox(tmp_path / "a", tmp_path), VirtualBox(tmp_path / "b", tmp_path)
    assert one.env["VBOX_IPC_SOCKETID"] != two.env["VBOX_IPC_SOCKETID"]
    assert len(f"/tmp/.vbox-{one.env['VBOX_IPC_SOCKETID']}-ipc/ipcd") < 100  # unix(7): 108 bytes
    assert one.env["VBOX_USER_HOME"] == str(tmp_path / "a")


def test_without_virtualbox_it_says_where_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(virtualbox, "_PLACES", (str(tmp_path / "VBoxManage.exe"),))
    for name in ("VBOX_MSI_INSTALL_PATH", "VBOX_INSTALL_PATH"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        MissingProgram, match=r"not installed here; get it from https://www\.virtualbox\.org"
    ):
        find_program()


@pytest.mark.skipif(sys.platform == "win32", reason="marks a file executable")
def test_it_is_found_where_its_installers_put_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "VBoxManage.exe"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(virtualbox, "_PLACES", (str(program),))
    assert find_program() == str(program)
    monkeypatch.setattr(virtualbox, "_PLACES", ())
    monkeypatch.setenv("VBOX_MSI_INSTALL_PATH", str(tmp_path))
    assert find_program() == str(program)


def test_where_the_users_own_home_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv("VBOX_USER_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for platform, where in {
        "linux": ".config/VirtualBox",
        "darwin": "Library/VirtualBox",
        "win32": ".VirtualBox",
    }.items():
        monkeypatch.setattr(sys, "platform", platform)
        assert users_home() == tmp_path / where
    monkeypatch.setattr(sys, "platform", "linux")
    (tmp_path / ".VirtualBox").mkdir()  # of a version before 4.3
    assert users_home() == tmp_path / ".VirtualBox"
    monkeypatch.setenv("VBOX_USER_HOME", "/else/where")
    assert users_home() == Path("/else/where")


# -- the real one -------------------------------------------------------------------------------


@pytest.fixture
def real(tmp_path: Path) -> Iterator[VirtualBox]:
    box = VirtualBox(tmp_path / ".virtualbox", tmp_path)
    yield box
    box.end()


@pytest.mark.live("virtualbox")
def test_a_new_home_is_empty_and_its_machines_are_in_its_folder(
    real: VirtualBox, tmp_path: Path
) -> None:
    real.open()
    assert real.isolated() and real.ask(["list", "vms"]) == ""
    assert str(real).startswith("VirtualBox ") and str(real).count(".") == 2
    assert "WARNING" not in real.run(["createvm", "--name", "m", "--register"]).text
    assert (tmp_path / "m" / "m.vbox").is_file()
    real.open()  # again: what is there stays
    assert '"m"' in real.ask(["list", "vms"])
    line = refused(real.ask, ["showvminfo", "x"])
    assert line == "VirtualBox says: Could not find a registered machine named 'x'"


@pytest.mark.live("virtualbox")
def test_a_server_of_another_home_is_noticed_and_left_alone(
    real: VirtualBox, tmp_path: Path
) -> None:
    """As on Windows, where all programs share one server, which may be that of the user."""
    other = VirtualBox(tmp_path / "users" / "home", tmp_path / "users")
    other.env["VBOX_IPC_SOCKETID"] = real.env["VBOX_IPC_SOCKETID"]
    (tmp_path / "users").mkdir()
    try:
        other.open()
        other.ask(["createvm", "--name", "mine", "--register"])
        before = (other.home / "VirtualBox.xml").read_bytes()
        assert "machines of your own" in refused(real.open)
        assert (other.home / "VirtualBox.xml").read_bytes() == before
        real.end()  # which is not ours to end
        assert list(other.processes())
    finally:
        other.end()
    assert not list(other.processes())
    real.open()


@pytest.mark.live("virtualbox")
def test_end_ends_its_own_server_alone_and_nothing_is_lost(
    real: VirtualBox, tmp_path: Path
) -> None:
    other = VirtualBox(tmp_path / "other", tmp_path)
    try:
        for box in (real, other):
            box.open()
        real.ask(["createvm", "--name", "kept", "--register"])
        real.end()
        assert not list(real.processes()) and list(other.processes())
        real.end()  # twice is no error
        assert '"kept"' in real.ask(["list", "vms"])
    finally:
        other.end()


@pytest.mark.live("virtualbox")
def test_an_appliance_says_how_large_its_disk_is_after_a_pause_too(
    real: VirtualBox, tmp_path: Path
) -> None:
    real.open()
    for line in MACHINE:
        assert real.run(line.split()).code == 0, line
    real.end()  # as VBoxSVC does by itself after five seconds
    assert real.run(["export", "m", "--output", "m.ova"]).code == 0
    with tarfile.open(tmp_path / "m.ova") as archive:
        descriptor = archive.extractfile("m.ovf")
        assert descriptor and f'ovf:capacity="{16 << 20}"' in descriptor.read().decode()


@pytest.mark.live("virtualbox")
def test_a_server_killed_in_the_middle_is_started_again(real: VirtualBox) -> None:
    real.open()
    real.ask(["createvm", "--name", "m", "--register"])
    for process in real.processes():
        process.kill()
        process.wait(5)
    assert '"m"' in real.ask(["list", "vms"])


@pytest.mark.live("virtualbox")
def test_the_users_own_registry_is_never_touched(
    real: VirtualBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one that the user has named in the environment."""
    home = tmp_path / "user"
    home.mkdir()
    monkeypatch.setenv("VBOX_USER_HOME", str(home))
    monkeypatch.setenv("VBOX_IPC_SOCKETID", f"t{uuid.uuid4().hex[:8]}")
    subprocess.run(
        [find_program(), "createvm", "--name", "own", "--register", "--basefolder", str(home)],
        check=True,
        capture_output=True,
    )
    files = {
        path: path.read_bytes() for path in home.rglob("*") if path.suffix in (".xml", ".vbox")
    }
    assert len(files) == 2
    real.open()
    real.ask(["createvm", "--name", "own", "--register"])
    real.ask(["unregistervm", "own", "--delete"])
    assert {path: path.read_bytes() for path in files} == files
