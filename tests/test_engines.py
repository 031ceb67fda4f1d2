"""The engines that live tests use: the one brought up for all, its hub's images, and throw-away ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from engines.dockerd import Dockerd, mounts, processes

pytestmark = pytest.mark.docker

COMMAND = Path(__file__).parent / "engines" / "engines.py"
IMAGES = ["hello-world", "busybox", "debian:bookworm-slim", "httpd"]


@pytest.fixture(scope="module")
def engine() -> Iterator[Dockerd]:
    """A private engine, so that nothing here touches the images and containers of the machine's own."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a private dockerd needs Linux and root")
    with Dockerd() as private:
        yield private


@pytest.fixture(scope="module")
def images(engine: Dockerd) -> dict[str, list[str]]:
    """The lessons' images, pulled by the names that students type: the digests of their layers."""
    layers = {}
    for image in IMAGES:
        pull = engine.docker("pull", image)
        assert pull.returncode == 0, pull.stderr
        layers[image] = json.loads(engine.docker("image", "inspect", image).stdout)[0]["RootFS"][
            "Layers"
        ]
    return layers


def engines(command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, COMMAND, command, "docker"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, **env},
    )


def fetched(url: str, seconds: float = 60) -> str:
    """The body at `url`, asked again until the server is up: httpd first waits for a DNS that may not answer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_up_again_finds_everything_running() -> None:
    start = time.monotonic()
    again = engines("up")
    assert again.returncode == 0, again.stderr
    assert "already running" in again.stdout
    assert "started" not in again.stdout and "built" not in again.stdout
    if "used as it is" not in again.stdout:  # ours, so nothing had to be pulled
        assert time.monotonic() - start < 2
    assert engines("status").returncode == 0


def test_the_machines_engine_runs_hello_world() -> None:
    known = subprocess.run(
        ["docker", "image", "inspect", "hello-world"], capture_output=True, check=False
    )
    try:
        run = subprocess.run(
            ["docker", "run", "--rm", "hello-world"], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        assert run.stdout.strip().startswith("Hello from Docker!")
        if known.returncode:
            assert "Unable to find image 'hello-world:latest' locally" in run.stderr
            assert "Pulling from library/hello-world" in run.stderr
    finally:
        if known.returncode:
            subprocess.run(
                ["docker", "image", "rm", "hello-world"], capture_output=True, check=False
            )


def test_a_host_without_engine_is_one_line(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/none.sock"
    for command in ("up", "status"):
        failed = engines(command, DOCKER_HOST=host, LABKIT_ENGINES_DIR=str(tmp_path))
        assert failed.returncode == 1
        assert failed.stderr.count("\n") == 1 and "failed:" in failed.stderr


def test_a_foreign_engine_is_used_as_it_is(engine: Dockerd, tmp_path: Path) -> None:
    up = engines("up", DOCKER_HOST=engine.host, LABKIT_ENGINES_DIR=str(tmp_path))
    assert up.returncode == 0, up.stderr
    assert "used as it is" in up.stdout and engine.host in up.stdout
    down = engines("down", DOCKER_HOST=engine.host, LABKIT_ENGINES_DIR=str(tmp_path))
    assert down.returncode == 0 and down.stdout.count("none of ours is running") == 2
    assert engine.docker("version").returncode == 0


def test_the_small_images_have_one_layer(images: dict[str, list[str]]) -> None:
    assert [len(images[name]) for name in IMAGES[:3]] == [1, 1, 1]


def test_httpd_is_built_on_debian(images: dict[str, list[str]]) -> None:
    base = images["debian:bookworm-slim"]
    assert images["httpd"][: len(base)] == base
    assert len(images["httpd"]) > len(base) + 2


def test_busybox_and_debian_give_their_shells(
    engine: Dockerd, images: dict[str, list[str]]
) -> None:
    assert (
        "BusyBox" in engine.docker("run", "--rm", "busybox", "sh", "-c", "busybox | head -1").stdout
    )
    command = json.loads(engine.docker("image", "inspect", "debian:bookworm-slim").stdout)[0][
        "Config"
    ]["Cmd"]
    assert command == ["bash"]
    assert engine.docker("run", "--rm", "debian:bookworm-slim", "dpkg", "--audit").stdout == ""


def test_httpd_serves_a_mounted_folder_in_the_foreground(
    engine: Dockerd, images: dict[str, list[str]], tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)  # for the server's own user
    (tmp_path / "index.html").write_text("<h1>mine</h1>\n")
    options = [
        "-dti",
        "--name",
        "apache",
        "-p",
        "127.0.0.1::80",
        "-v",
        f"{tmp_path}:/usr/local/apache2/htdocs/",
    ]
    run = engine.docker("run", *options, "httpd")
    try:
        assert run.returncode == 0, run.stderr
        address = engine.docker("port", "apache", "80").stdout.split()[0]
        assert fetched(f"http://{address}/") == "<h1>mine</h1>\n"
        logs = engine.docker("logs", "apache").stdout
        assert "AH00489" in logs and '"GET / HTTP/1.1" 200' in logs
        assert engine.docker("exec", "apache", "cat", "/proc/1/comm").stdout.strip() in (
            "httpd",
            "apache2",
        )
    finally:
        engine.docker("rm", "--force", "apache")
    plain = engine.docker("run", "-d", "--name", "apache", "-p", "127.0.0.1::80", "httpd")
    try:
        assert plain.returncode == 0, plain.stderr
        address = engine.docker("port", "apache", "80").stdout.split()[0]
        assert "It works!" in fetched(f"http://{address}/")
    finally:
        engine.docker("rm", "--force", "apache")


def test_a_private_engine_leaves_nothing_behind(engine: Dockerd) -> None:
    groups = set(Path("/sys/fs/cgroup").glob("**/docker/*/"))
    links = set(os.listdir("/sys/class/net"))
    start = time.monotonic()
    with Dockerd(disk="32m") as private:
        assert time.monotonic() - start < 3
        sleeper = private.docker("run", "-d", "busybox", "sleep", "600")
        assert sleeper.returncode == 0, sleeper.stderr
        full = private.docker("run", "--rm", "busybox", "dd", "if=/dev/zero", "of=/full", "bs=1M")
        assert "No space left on device" in full.stderr
        marks = (f"{private.folder}/", sleeper.stdout.strip())
        private.kill()
        assert private.docker("version").returncode != 0
        # The shim and the container outlive a crashed engine: this is what there is to clean up.
        assert list(processes(*marks)) and mounts(private.folder)
        # The other engine does not notice.
        assert engine.docker("version").returncode == 0
    assert not list(processes(*marks))
    assert not mounts(private.folder)
    assert not private.folder.exists()
    assert set(Path("/sys/fs/cgroup").glob("**/docker/*/")) <= groups
    assert private.bridge not in os.listdir("/sys/class/net")
    assert "docker0" not in links or "docker0" in os.listdir("/sys/class/net")


def test_a_killed_engine_starts_again_with_its_images(engine: Dockerd) -> None:
    with Dockerd() as private:
        assert private.docker("pull", "busybox").returncode == 0
        private.kill()
        private.start()
        assert private.docker("image", "inspect", "busybox").returncode == 0
        private.stop()
        assert private.docker("version").returncode != 0
