"""`labkit layers`, `labkit forest`, and Docker's part in `labkit reset`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Told
from samples.archives import docker_old, file, image, write

from labkit.docker import engine
from labkit.docker.client import Client
from labkit.docker.engine import Docker
from labkit.docker.ledger import Ledger


@pytest.fixture
def no_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which Docker was never installed."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("no_docker")
def test_without_the_docker_command_it_says_where_to_get_it(told: Told) -> None:
    said = told("forest", code=1)
    assert "Docker is not installed here" in said and "https://docs.docker.com/get-started/" in said


# -- layers -------------------------------------------------------------------------------------


def test_layers_of_an_archive(tmp_path: Path, told: Told) -> None:
    made = image([file("a/one.txt", 10), file("two.txt", 20)], history=[{"created_by": "COPY . /"}])
    archive = str(write(tmp_path / "mine.tar", docker_old(made)))
    text = told("layers", archive)
    assert "COPY . /" in text and "30B" in text and "wasted 0B" in text
    data = json.loads(told("layers", archive, "--json"))
    assert set(data) == {"image", "layers", "size", "wasted", "efficiency"} and data["size"] == 30
    keys = "diff_id chain_id created_by empty size added changed removed"
    assert set(data["layers"][0]) == set(keys.split())
    assert "nosuch:1" in told("layers", archive, "--ref", "nosuch:1", code=1)


@pytest.mark.parametrize(
    "name, data",
    [
        ("missing.tar", None),
        ("missing.tar.gz", None),
        ("empty.tar", b""),
        ("text.tar", b"no archive at all\n"),
        ("zeros.tar", b"\0" * 10240),
        ("noise.tar", bytes(range(256)) * 40),
    ],
)
def test_layers_of_what_is_no_image(
    name: str, data: bytes | None, tmp_path: Path, told: Told
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    assert name in told("layers", str(tmp_path / name), code=1)


# -- forest -------------------------------------------------------------------------------------


class Engine:
    """An engine with two images, one on the other."""

    def world(self) -> dict[str, Any]:
        return {"images": [{"id": f"sha256:{name}", "tags": [f"{name}:1"]} for name in ("a", "ab")]}

    def about(self, image: str) -> dict[str, Any]:
        steps = image.removeprefix("sha256:")
        return {
            "diff_ids": [f"sha256:layer of {step}" for step in steps],
            "history": [{"created_by": f"ADD {step}", "size": 1000} for step in steps],
        }


def test_forest(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "find", Engine)
    text = told("forest")
    assert text.index("ADD a") < text.index("ADD b") and "a:1" in text and "ab:1" in text
    data = json.loads(told("forest", "--json"))
    assert (data["total"], data["apart"], data["shared"]) == (2000, 3000, 1000)
    picture = tmp_path / "forest.svg"
    assert told("forest", "--save", str(picture)) == f"Saved in {picture}.\n"
    assert picture.read_text("utf-8").startswith("<svg") and "ADD b" in picture.read_text("utf-8")
    assert "name a file such as forest.svg" in told("forest", "--save", "forest.gif", code=1)


# -- reset --------------------------------------------------------------------------------------


@pytest.fixture
def cleaned(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lessons that were cleaned, on an engine whose ledger tells what lessons made."""
    ledger, lessons = Ledger(own_home / "docker" / "engine"), list[str]()
    for lesson in ("00", "09", "12", "prefetched"):
        ledger.add(lesson, [("container", "c")])

    def clean(docker: Docker) -> list[str]:
        lessons.append(docker.lesson)
        return ["x stays: in use"] if docker.lesson == "09" else []

    monkeypatch.setattr(Client, "find", Engine)
    monkeypatch.setattr(engine, "ledger_of", lambda client: ledger)
    monkeypatch.setattr(Docker, "clean", clean)
    return lessons


def test_reset_is_of_lessons_and_leaves_what_was_fetched_before_class(
    cleaned: list[str], told: Told
) -> None:
    assert "Reset, except: x stays: in use" in told("reset", code=1)
    assert cleaned == ["00", "09", "12"]


def test_reset_of_some(cleaned: list[str], told: Told) -> None:
    assert "untouched" in told("reset", "12")
    assert "except: x stays: in use" in told("reset", "09", code=1)
    told("reset", "prefetched")
    assert cleaned == ["12", "09", "prefetched"]


@pytest.mark.usefixtures("no_docker")
def test_reset_where_docker_never_was(own_home: Path, told: Told) -> None:
    """A classroom may have VirtualBox alone."""
    told("reset")
    Ledger(own_home / "docker" / "engine").add("12", [("container", "c")])
    for line in ("reset", "reset 12"):
        assert told(*line.split(), code=1).startswith("labkit: Reset, except: Docker is not inst")
