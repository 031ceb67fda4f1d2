"""A real engine for live tests, a student on it whose things must survive, and an inventory.

On Linux as root it is a private one; elsewhere none can be had, and the test says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engines.dockerd import Dockerd, EngineError

from labkit.commands import Result
from labkit.docker.client import Client
from labkit.docker.engine import Docker
from labkit.words import split

ROOT = Path(__file__).resolve().parent.parent
REMOVE = {
    "container": ["rm", "-fv"],
    "image": ["rmi", "-f"],
    "volume": ["volume", "rm", "-f"],
    "network": ["network", "rm"],
}


def labkit(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    """What `labkit` does, as a command."""
    return subprocess.run(
        [sys.executable, "-m", "labkit", *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, **env},
    )


def plain(*argv: str, **options: Any) -> str:
    """What the ``docker`` command prints in a terminal. Raises if it fails."""
    options = {"capture_output": True, "text": True, "timeout": 120, "check": True, **options}
    return str(subprocess.run(["docker", *argv], **options).stdout).strip()


def inventory() -> dict[str, set[str]]:
    """The IDs of all there is on the engine; names with what they mean, for a name may move."""
    from docker import APIClient  # late: tests without an engine import this module too

    with contextlib.closing(APIClient(os.environ["DOCKER_HOST"])) as api:
        images = api.images(all=True)
        return {
            "container": {c["Id"] for c in api.containers(all=True)},
            "image": {i["Id"] for i in images},
            "volume": {v["Name"] for v in api.volumes()["Volumes"] or ()},
            "network": {n["Id"] for n in api.networks()},
            "tag": {
                f"{tag}={i['Id']}"
                for i in images
                for tag in i["RepoTags"] or ()
                if "<none>" not in tag
            },
        }


class Student:
    """Someone at a terminal of the same engine, who runs a plain command when called.

    ``own`` is what that made.
    """

    def __init__(self) -> None:
        self.before = inventory()
        self.own: dict[str, set[str]] = {kind: set() for kind in self.before}

    def __call__(self, *argv: str, **options: Any) -> str:
        before = inventory()
        try:
            return plain(*argv, **options)
        finally:
            for kind, now in inventory().items():
                self.own[kind] = (self.own[kind] | (now - before[kind])) & now

    def image(self, tag: str, *lines: str, base: str = "scratch") -> str:
        """Build a small image of the student's own; the ID of it."""
        self("build", "-q", "-t", tag, "-", input="\n".join([f"FROM {base}", *lines]))
        return plain("inspect", "--format", "{{.Id}}", tag)

    def inspected(self) -> dict[str, Any]:
        """All the student has, in the engine's words."""
        return {
            id_: json.loads(plain("inspect", "--type", kind, id_))
            for kind, ids in self.own.items()
            if kind != "tag"
            for id_ in sorted(ids)
        }

    def expected(self) -> dict[str, set[str]]:
        """What there must be on the engine once labkit has cleaned up."""
        return {kind: self.before[kind] | self.own[kind] for kind in self.before}


class Lab:
    """labkit on the engine: ``lab("run busybox")`` is ``%docker run busybox``.

    ``made()`` is what its ledger holds.
    """

    def __init__(self) -> None:
        self.client = Client.find()
        self.docker = self.of("12")

    def of(self, lesson: str) -> Docker:
        """The engine at work for a lesson."""
        return Docker(self.client, lesson)

    def run(self, line: str, lesson: str = "12", stdin: str | None = None) -> Result:
        command = Docker.parse(["docker", *split(line)])
        return self.of(lesson).run(command, stdin, None)

    def __call__(self, line: str, lesson: str = "12", stdin: str | None = None) -> str:
        result = self.run(line, lesson, stdin)
        assert result.code == 0, result.text
        return result.out.strip()

    def made(self, lesson: str = "12") -> set[tuple[str, ...]]:
        return set(self.docker.ledger.entries(lesson))

    def clean(self) -> list[str]:
        lessons = self.docker.ledger.lessons()
        return [note for lesson in lessons for note in self.of(lesson).clean()]


def scrub(engine: Dockerd, keep: dict[str, set[str]]) -> None:
    """Remove all that is not in ``keep``, whoever made it: only ever on a private engine."""
    for tag in inventory()["tag"] - keep["tag"]:
        engine.docker("rmi", "-f", tag.rpartition("=")[0])
    for kind, remove in REMOVE.items():
        for _ in range(9):  # images stand on one another
            if ids := inventory()[kind] - keep[kind]:
                engine.docker(*remove, *ids)


def private(*options: str, **more: Any) -> Dockerd:
    """A throw-away engine; a visible skip where there can be none, except in CI."""
    if sys.platform != "linux" or os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "a private dockerd needs Linux and root"
        )
    return Dockerd(*options, **more)


@contextlib.contextmanager
def using(engine: Dockerd, folder: Path) -> Iterator[None]:
    """This process and its children talk to that engine, with settings of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
            patch.delenv(name, raising=False)
        patch.setenv("DOCKER_HOST", engine.host)
        patch.setenv("DOCKER_CONFIG", str(folder))
        patch.setenv("DOCKER_BUILDKIT", "0")
        yield


@pytest.fixture(scope="session")
def engine() -> Iterator[Dockerd]:
    """One private engine for all live tests that leave it as they find it."""
    try:
        with private() as found:
            yield found
    except EngineError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def on_engine(engine: Dockerd, tmp_path: Path) -> Iterator[Dockerd]:
    with using(engine, tmp_path / "docker-config"):
        yield engine


@pytest.fixture
def student(on_engine: Dockerd, own_home: Path, tmp_path: Path) -> Iterator[Student]:
    """The engine's other user.

    At the end what labkit made can be cleaned, and nothing else is missing or left.
    """
    someone = Student()
    try:
        yield someone
        with using(on_engine, tmp_path):  # whatever the test did to the environment
            stay = Lab().clean()
            assert inventory() == someone.expected(), stay
    finally:
        with using(on_engine, tmp_path):
            scrub(on_engine, someone.before)


@pytest.fixture
def lab(student: Student) -> Lab:
    return Lab()
