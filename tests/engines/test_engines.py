"""What brings engines up for CI: all that is needed, once, and nothing of others is touched.

VirtualBox's folder is made once by `engines.py up`; here a stand-in for mmdebstrap links to it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from engines.dockerd import Dockerd

ENGINES = Path(__file__).with_name("engines.py")
MADE = Path(os.environ.get("LABKIT_ENGINES_DIR", "/var/lib/labkit-engines"), "virtualbox")
SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"
MMDEBSTRAP = f"""#!/bin/sh
while [ $# -gt 2 ]; do shift; done
[ -z "$ABSENT" ] || {{ echo "E: Unable to locate package virtualbox"; exit 1; }}
ln -s {MADE} "$1"
"""
WORDS = ["", "two  spaces", 'it\'s "quoted" \\ $HOME `id` *', "año 日本", "two\nlines", "--name"]


def engines(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ENGINES), *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a machine without VirtualBox keeps all that `engines.py` makes."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip("engines.py brings up VirtualBox as root on Debian or Ubuntu only")
    if shutil.which("VBoxManage", path=SYSTEM) or not MADE.exists():
        pytest.skip("VirtualBox is not the one that engines.py makes")
    with tempfile.TemporaryDirectory(prefix="engines it's ", dir="/tmp") as made:
        program = Path(made, "bin", "mmdebstrap")
        program.parent.mkdir()
        program.write_text(MMDEBSTRAP)
        program.chmod(0o755)
        yield Path(made)


def environment(folder: Path, engine: Dockerd) -> dict[str, str]:
    """That of such a machine, on which somebody's Docker runs already."""
    return {
        "DOCKER_HOST": engine.host,
        "PATH": f"{folder}/bin:{SYSTEM}",
        "LABKIT_ENGINES_DIR": f"{folder}/state",
        "LABKIT_VBOXMANAGE": f"{folder}/bin/VBoxManage",
        "VBOX_USER_HOME": f"{folder}/home",
        "VBOX_IPC_SOCKETID": folder.name.replace(" ", "-"),
    }


@pytest.mark.live("docker", "virtualbox")
def test_up_brings_both_and_up_again_changes_nothing() -> None:
    status = engines("status")
    assert status.returncode == 0, status.stderr
    again = engines("up")
    assert again.returncode == 0, again.stderr
    for name in ("docker: ", "qemu: ", "virtualbox: "):
        assert name in again.stdout
    assert not [word for word in ("started", "built", "made", "installed") if word in again.stdout]
    assert engines("status").stdout == status.stdout


@pytest.mark.live("docker", "virtualbox")
def test_what_there_is_already_is_used_as_it_is(folder: Path, engine: Dockerd) -> None:
    env = environment(folder, engine)
    theirs = folder / "bin" / "VBoxManage"
    theirs.write_text("#!/bin/sh\necho 9.9.9\n")
    theirs.chmod(0o755)
    up = engines("up", **env)
    assert up.returncode == 0, up.stderr
    assert f"already running at {engine.host}; used as it is" in up.stdout
    assert f"VirtualBox 9.9.9 is at {theirs}; used as it is" in up.stdout
    assert not (folder / "state" / "virtualbox").exists() and "9.9.9" in theirs.read_text()


@pytest.mark.live("virtualbox")
def test_words_paths_input_and_exit_codes_pass_through_the_wrapper(
    folder: Path, engine: Dockerd
) -> None:
    env = environment(folder, engine)
    assert engines("up", "virtualbox", **env).returncode == 0

    def vbox(*argv: str, data: bytes = b"") -> tuple[int, str]:
        done = subprocess.run(
            [env["LABKIT_VBOXMANAGE"], *argv],
            env={**os.environ, **env},
            cwd=folder,
            input=data,
            capture_output=True,
            timeout=60,
            check=False,
        )  # without the warning about the driver
        return done.returncode, done.stdout.decode().rpartition("problem is fixed.\n")[2]

    for word in WORDS:
        assert vbox("setextradata", "global", "odd", word)[0] == 0
        kept = f"Value: {word}\n" if word else "No value set!\n"
        assert vbox("getextradata", "global", "odd") == (0, kept)
    assert [vbox("showvminfo", "none")[0], vbox("no-such-command")[0]] == [1, 2]
    data = os.urandom(1 << 20)
    assert vbox("convertfromraw", "stdin", "a.vdi", str(len(data)), data=data)[0] == 0
    assert vbox("clonemedium", "a.vdi", f"{folder}/a.raw", "--format", "RAW")[0] == 0
    assert (folder / "a.raw").read_bytes() == data
    assert f"{MADE}/usr" not in Path("/proc/self/mountinfo").read_text()  # no mount is left
    assert engines("down", "virtualbox", **env).returncode == 0


@pytest.mark.live("docker", "virtualbox")
def test_down_ends_ours_only(folder: Path, engine: Dockerd) -> None:
    """Shells under the server's name, so that no server of anybody's is at stake."""
    env = environment(folder, engine)
    places = folder / "state/virtualbox/usr/lib/virtualbox", folder
    shells = []
    try:
        for place in places:
            place.mkdir(parents=True, exist_ok=True)
            server = shutil.copy("/bin/sh", place / "VBoxSVC")
            shells.append(subprocess.Popen([server, "-c", "read line"], stdin=subprocess.PIPE))
        down = engines("down", **env)
        assert down.returncode == 0 and down.stdout.count("none of ours is running") == 2
        assert "stopped 1 VBoxSVC" in down.stdout and shells[1].poll() is None
        assert shells[0].wait(timeout=60) == -signal.SIGTERM
        assert engine.docker("version").returncode == 0
    finally:
        for shell in shells:
            shell.kill()
            shell.communicate()


@pytest.mark.live("docker", "virtualbox")
def test_a_failure_is_one_line(folder: Path, engine: Dockerd) -> None:
    env = environment(folder, engine)
    nowhere = f"unix://{folder}/none.sock"
    for words, why, more in (
        (("up", "docker"), f"no engine answers at DOCKER_HOST={nowhere}", {"DOCKER_HOST": nowhere}),
        (("up", "virtualbox"), "Unable to locate package virtualbox", {"ABSENT": "yes"}),
        (("status", "virtualbox"), "no VBoxManage here; run engines.py up", {}),
    ):
        failed = engines(*words, **{**env, **more})
        assert failed.returncode == 1 and failed.stderr.count("\n") == 1, failed.stderr
        assert failed.stderr.startswith("engines: failed: ") and why in failed.stderr
    assert not (folder / "bin" / "VBoxManage").exists()
