"""VirtualBox as `engines.py` brings it up: made whole or not at all, a wrapper that changes nothing, others left alone.

The folder is made once by `engines.py up`. Here a stand-in for mmdebstrap links to it, or fails, or takes for ever.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.virtualbox

ROOT = Path(__file__).resolve().parents[2]
MADE = Path(os.environ.get("LABKIT_ENGINES_DIR", "/var/lib/labkit-engines"), "virtualbox")
SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"
# Like mmdebstrap it gets the folder as its last word but one, and mounts inside something that is not its own.
MMDEBSTRAP = f"""#!/bin/sh
while [ $# -gt 2 ]; do shift; done
case $STANDIN in
  absent) echo "E: Unable to locate package virtualbox"; echo "E: mmdebstrap failed to run"; exit 1;;
  slow) trap 'exit 1' TERM; mkdir -p "$1/mnt"; mount --bind "$PRECIOUS" "$1/mnt"; touch "$1.started"; sleep 600;;
  *) ln -s {MADE} "$1";;
esac
"""
ODD = [
    "",
    "plain",
    "two  spaces",
    'it\'s "quoted" \\ $HOME `id` *',
    "año 日本",
    "two\nlines",
    "--name",
]


class Machine:
    """A state, a place for the wrapper, and a PATH with the stand-in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state, self.bin = folder, folder / "it's state", folder / "bin"
        self.wrapper, self.precious = self.bin / "VBoxManage", folder / "precious"
        self.precious.mkdir()
        (self.precious / "file").touch()
        self.put(self.bin / "mmdebstrap", MMDEBSTRAP)
        self.env = {
            **os.environ,
            "PATH": f"{self.bin}:{SYSTEM}",
            "LABKIT_ENGINES_DIR": str(self.state),
            "LABKIT_VBOXMANAGE": str(self.wrapper),
            "PRECIOUS": str(self.precious),
            "VBOX_USER_HOME": str(folder / "vbox"),
            "VBOX_IPC_SOCKETID": folder.name,
        }

    def put(self, file: Path, text: str) -> None:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def argv(self, command: str) -> list[str]:
        return [sys.executable, str(ROOT / "tests/engines/engines.py"), command, "virtualbox"]

    def engines(self, command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(command),
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def vbox(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the wrapper, and return its result without the warning about the driver."""
        options = {"env": self.env, "capture_output": True, "timeout": 60, **options}
        done = subprocess.run([str(self.wrapper), *argv], **options)
        said = done.stdout.decode().rpartition("until this problem is fixed.\n")[2]
        return subprocess.CompletedProcess(argv, done.returncode, said, done.stderr.decode())

    def server(self) -> dict[str, str]:
        """The environment of the VBoxSVC that serves these calls, and its pid."""
        for entry in Path("/proc").iterdir():
            try:
                words = (
                    (entry / "environ").read_text().split("\0") if (entry / "comm").exists() else []
                )
                if (
                    f"VBOX_IPC_SOCKETID={self.folder.name}" in words
                    and "VBoxSVC" in (entry / "comm").read_text()
                ):
                    return {**dict(word.split("=", 1) for word in words if word), "pid": entry.name}
            except OSError:
                continue
        return {}


def assert_one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 1, done.stdout
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("engines: failed: "), done.stderr
    assert [part for part in parts if part not in done.stderr] == [], done.stderr


@pytest.fixture(scope="module")
def able() -> None:
    """Skip where engines.py brings up no VirtualBox of its own."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip("engines.py brings up VirtualBox as root on Debian or Ubuntu only")
    if found := shutil.which("VBoxManage", path=SYSTEM):
        pytest.skip(f"VirtualBox is installed here, {found}: engines.py would use that one")
    if not MADE.exists():
        pytest.skip(f"no {MADE}: run tests/engines/engines.py up virtualbox")


@contextmanager
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(
        prefix="vbox-", dir="/tmp"
    ) as folder:  # other users may not enter pytest's
        os.chmod(folder, 0o755)
        made = Machine(Path(folder))
        yield made
        while server := made.server():  # or it would write in the folder that is being removed
            with suppress(ProcessLookupError):
                os.kill(int(server["pid"]), signal.SIGTERM)
            time.sleep(0.02)


@pytest.fixture
def fresh(able: None) -> Iterator[Machine]:
    """A machine on which `engines.py` has not been yet."""
    with machine() as made:
        yield made


@pytest.fixture(scope="module")
def up(able: None) -> Iterator[Machine]:
    """A machine with the real VirtualBox, through a wrapper of its own."""
    with machine() as made:
        done = made.engines("up")
        assert done.returncode == 0, done.stderr
        yield made


def test_up_again_changes_nothing(up: Machine) -> None:
    before = up.wrapper.stat().st_mtime_ns, up.wrapper.stat().st_ino
    again = up.engines("up", STANDIN="absent")
    assert again.returncode == 0 and "VirtualBox" in again.stdout and "made" not in again.stdout
    assert (up.wrapper.stat().st_mtime_ns, up.wrapper.stat().st_ino) == before
    status = up.engines("status")
    assert status.returncode == 0 and status.stdout.rstrip().endswith("VBoxManage, ours")


@pytest.mark.parametrize("text", ODD)
def test_arguments_pass_unchanged(up: Machine, text: str) -> None:
    assert up.vbox("setextradata", "global", "odd", text).returncode == 0
    said = up.vbox("getextradata", "global", "odd").stdout
    assert said == (f"Value: {text}\n" if text else "No value set!\n")


def test_exit_codes_pass(up: Machine) -> None:
    codes = [
        up.vbox(*argv).returncode
        for argv in (["list", "vms"], ["showvminfo", "none"], ["no-such-command"])
    ]
    assert codes == [0, 1, 2]


def test_input_passes(up: Machine, tmp_path: Path) -> None:
    data = os.urandom(1 << 20)
    done = up.vbox("convertfromraw", "stdin", "a.vdi", str(len(data)), cwd=tmp_path, input=data)
    assert done.returncode == 0, done.stderr
    assert up.vbox("clonemedium", "a.vdi", "a.raw", "--format", "RAW", cwd=tmp_path).returncode == 0
    assert (tmp_path / "a.raw").read_bytes() == data


@pytest.mark.parametrize(
    "place", ["/tmp", "/var/tmp", "/opt", "/usr/local", str(Path.home()), str(ROOT)]
)
def test_paths_are_the_same_inside(up: Machine, place: str) -> None:
    with tempfile.TemporaryDirectory(dir=place, prefix="vbox it's ") as folder:
        assert (
            up.vbox("createmedium", "--filename", f"{folder}/whole.vdi", "--size", "1").returncode
            == 0
        )
        assert (
            up.vbox("createmedium", "--filename", "part.vdi", "--size", "1", cwd=folder).returncode
            == 0
        )
        assert sorted(os.listdir(folder)) == ["part.vdi", "whole.vdi"]
        for file in ("whole.vdi", "part.vdi"):
            assert up.vbox("closemedium", f"{folder}/{file}", "--delete").returncode == 0
        assert os.listdir(folder) == []


def test_the_environment_passes(fresh: Machine) -> None:
    assert fresh.engines("up").returncode == 0
    fresh.env.update(HOME=str(fresh.folder / "home"), LANG="es_ES.UTF-8", SOMETHING="año")
    assert fresh.vbox("list", "vms").returncode == 0
    seen = fresh.server()
    assert [
        name
        for name in ("HOME", "LANG", "SOMETHING", "VBOX_USER_HOME")
        if seen[name] != fresh.env[name]
    ] == []
    assert (fresh.folder / "vbox/VBoxSVC.log").exists()


def test_no_mount_is_left_on_the_machine(up: Machine) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    assert up.vbox("list", "vms").returncode == 0
    server = up.server()
    assert server and f"{MADE}/usr " in Path("/proc", server["pid"], "mountinfo").read_text()
    assert (Path("/proc") / server["pid"] / "exe").samefile(
        MADE / "usr/lib/virtualbox/VBoxSVC"
    )  # as `down` finds it
    assert Path("/proc/self/mountinfo").read_text() == before


def test_where_mounts_are_shared_none_comes_out_and_later_ones_come_in(fresh: Machine) -> None:
    """As under systemd: the server, started before, writes on what is mounted after."""
    assert fresh.engines("up").returncode == 0
    disk = fresh.folder / "later"
    disk.mkdir()
    lines = f"""set -e
    VBoxManage list vms
    cat /proc/self/mountinfo >before; VBoxManage list vms; cmp before /proc/self/mountinfo
    mount -t tmpfs tmpfs later
    VBoxManage createmedium --filename {disk}/a.vdi --size 1
    ls later"""
    argv = ["unshare", "--mount", "--propagation", "shared", "sh", "-c", lines]
    done = subprocess.run(
        argv, cwd=fresh.folder, env=fresh.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\na.vdi\n") and os.listdir(disk) == []


def test_an_ordinary_user_makes_machines_of_their_own(fresh: Machine) -> None:
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run(
        [*user, "unshare", "--map-root-user", "--mount", "true"], capture_output=True
    ).returncode:
        pytest.skip("this machine lets no ordinary user make namespaces")
    assert fresh.engines("up").returncode == 0
    home = fresh.folder / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    fresh.env.update(HOME=str(home))
    del fresh.env["VBOX_USER_HOME"]
    argv = [
        *user,
        str(fresh.wrapper),
        "createvm",
        "--name",
        "mine",
        "--basefolder",
        str(home),
        "--register",
    ]
    done = subprocess.run(argv, env=fresh.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (home / "mine/mine.vbox").stat().st_uid == 65534
    assert (home / ".config/VirtualBox/VirtualBox.xml").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_up_leaves_no_half_and_no_process(
    fresh: Machine, number: signal.Signals
) -> None:
    started = fresh.state / "virtualbox.half.started"
    env = {**fresh.env, "STANDIN": "slow"}
    interrupted = subprocess.Popen(
        fresh.argv("up"), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    while not started.exists():
        assert interrupted.poll() is None, interrupted.stdout and interrupted.stdout.read()
        time.sleep(0.02)
    interrupted.send_signal(number)
    assert interrupted.wait(timeout=10) != 0
    assert (
        interrupted.stdout and b"Traceback" not in interrupted.stdout.read()
    )  # at its end nobody holds the pipe
    assert not (fresh.state / "virtualbox").exists() and not fresh.wrapper.exists()
    assert str(fresh.state) not in Path("/proc/self/mountinfo").read_text()
    again = fresh.engines("up")
    assert again.returncode == 0, again.stderr
    assert not (fresh.state / "virtualbox.half").exists()
    assert (fresh.precious / "file").exists()


def test_a_half_with_something_mounted_in_it_is_not_removed(fresh: Machine) -> None:
    point = fresh.state / "virtualbox.half/mnt"
    point.mkdir(parents=True)
    subprocess.run(["mount", "--bind", fresh.precious, point], check=True)
    try:
        assert_one_line(fresh.engines("up"), str(point), "unmount it")
        assert (fresh.precious / "file").exists()
    finally:
        subprocess.run(["umount", point], check=True)


def test_sid_without_virtualbox_is_one_line(fresh: Machine) -> None:
    assert_one_line(
        fresh.engines("up", STANDIN="absent"),
        "Unable to locate package virtualbox",
        "install VirtualBox",
    )
    assert not fresh.wrapper.exists()


def test_status_says_what_is_missing(fresh: Machine) -> None:
    assert_one_line(fresh.engines("status"), "no VBoxManage here", "engines.py up")
    assert not fresh.state.exists()
    assert fresh.engines("up").returncode == 0
    (fresh.state / "virtualbox").unlink()
    assert_one_line(fresh.engines("status"), "no VBoxManage here", "engines.py up")


def test_somebody_elses_is_used_and_not_touched(fresh: Machine) -> None:
    text = "#!/bin/sh\necho 9.9.9\n"
    fresh.put(fresh.wrapper, text)
    done = fresh.engines("up", STANDIN="absent")
    assert done.returncode == 0, done.stderr
    assert f"VirtualBox 9.9.9 is at {fresh.wrapper}; used as it is" in done.stdout
    assert fresh.engines("status").stdout.rstrip().endswith("not ours")
    assert fresh.engines("down").returncode == 0
    assert fresh.wrapper.read_text() == text and not (fresh.state / "virtualbox").exists()
    fresh.put(fresh.wrapper, "#!/bin/sh\necho broken >&2; exit 1\n")
    assert_one_line(fresh.engines("status"), str(fresh.wrapper), "broken")


def test_a_file_in_the_wrappers_place_is_not_overwritten(fresh: Machine) -> None:
    fresh.wrapper.write_text("notes\n")  # no program, so not found on PATH
    assert_one_line(fresh.engines("up"), f"{fresh.wrapper} is somebody else's")
    assert fresh.wrapper.read_text() == "notes\n" and not (fresh.state / "virtualbox").exists()
    fresh.wrapper.unlink()
    fresh.wrapper.symlink_to(fresh.folder / "nowhere")
    assert_one_line(fresh.engines("up"), f"{fresh.wrapper} is somebody else's")
    assert not (fresh.folder / "nowhere").exists()


def test_our_wrapper_makes_way_for_one_installed_later(fresh: Machine) -> None:
    assert fresh.engines("up").returncode == 0
    fresh.put(fresh.folder / "later/VBoxManage", "#!/bin/sh\necho 9.9.9\n")
    done = fresh.engines("up", PATH=f"{fresh.env['PATH']}:{fresh.folder}/later")
    assert "used as it is" in done.stdout and not fresh.wrapper.exists()


def test_down_ends_our_servers_only(fresh: Machine) -> None:
    """Shells under the server's name, so that no server of anybody's is at stake."""
    ours, foreign = fresh.state / "virtualbox/usr/lib/virtualbox/VBoxSVC", fresh.folder / "VBoxSVC"
    ours.parent.mkdir(parents=True)
    shells = []
    try:
        for file in (ours, foreign):
            shutil.copy("/bin/sh", file)
            shells.append(subprocess.Popen([file, "-c", "read line"], stdin=subprocess.PIPE))
        down = fresh.engines("down")
        assert down.returncode == 0 and "stopped 1 VBoxSVC" in down.stdout
        assert shells[0].wait(timeout=5) == -signal.SIGTERM and shells[1].poll() is None
        assert "no VBoxSVC of ours" in fresh.engines("down").stdout
    finally:
        for shell in shells:
            shell.kill()
            shell.communicate()
