"""The engine that the docker command talks to: found, and read as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError, DockerException
from engines.dockerd import Dockerd
from live import Lab, Student, inventory, plain
from requests.exceptions import RequestException
from samples.errors import refused

from labkit.docker.client import Client, Thing, asking, called, find_thing
from labkit.docker.engine import ledger_of
from labkit.errors import MissingProgram

# -- what a name means --------------------------------------------------------------------------

IMAGE: Thing = {"id": f"sha256:{'ab12' * 16}", "tags": ["busybox:latest", "me/app:1"]}
CONTAINER: Thing = {"id": "cd34" * 16, "name": "web"}
NAMELESS: Thing = {"id": f"sha256:{'ef56' * 16}", "tags": []}
FACE: Thing = {"id": "face" * 16, "name": "beef"}
BEEF: Thing = {"id": "beef" * 16, "name": "dead"}
THINGS = [IMAGE, CONTAINER, NAMELESS, BEEF, FACE]


@pytest.mark.parametrize(
    "name,thing",
    [
        *((name, IMAGE) for name in ("busybox", "busybox:latest", "docker.io/library/busybox")),
        *(
            (name, IMAGE)
            for name in ("me/app:1", IMAGE["id"], "ab12" * 16, "ab12ab", "sha256:ab12")
        ),
        *((name, CONTAINER) for name in ("web", "cd34" * 16, "cd34" * 3, "cd34")),
        ("ef56", NAMELESS),
        ("beef", FACE),  # a name goes before the beginning of an ID
        *(
            (name, None)
            for name in ("", "we", "me/app", "busybox:1", "cd3", "cd35", "sha256:", "AB12")
        ),
    ],
)
def test_a_thing_is_found_by_its_names_and_the_beginning_of_its_id(
    name: str, thing: Thing | None
) -> None:
    assert find_thing(THINGS, name) is thing


def test_a_thing_is_called_all_that_a_command_may_call_it() -> None:
    bare = "ab12" * 16
    names = {"busybox", "busybox:latest", "me/app:1"}
    assert called(IMAGE) == {f"sha256:{bare}", bare, bare[:12], *names}
    assert called(CONTAINER) == {"cd34" * 16, "cd34" * 3, "web"}


# -- finding the engine -------------------------------------------------------------------------


def test_without_the_docker_command_there_is_no_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Reading would work without it, but no command would."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for host in ("", "unix:///nonexistent/docker.sock"):
        monkeypatch.setenv("DOCKER_HOST", host)
        assert "Docker is not installed here; get it from https://" in refused(Client.find)
    with pytest.raises(MissingProgram):
        Client.find()


@pytest.mark.live("docker")
def test_finds_the_engine_of_docker_host(on_engine: Dockerd) -> None:
    found = Client.find()
    assert found.version == plain("version", "--format", "{{.Server.Version}}").partition("+")[0]
    assert str(found) == f"Docker {found.version}"


@pytest.mark.live("docker")
def test_finds_the_engine_of_the_current_context(
    on_engine: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = ledger_of(Client.find()).folder
    monkeypatch.delenv("DOCKER_HOST")
    assert ledger_of(Client.find()).folder != mine  # the machine's own: each has its own ledger
    plain("context", "create", "other", "--docker", f"host={on_engine.host}")
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert ledger_of(Client.find()).folder == mine
    monkeypatch.delenv("DOCKER_CONTEXT")
    plain("context", "use", "other")
    assert ledger_of(Client.find()).folder == mine
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    assert "gone" in refused(Client.find)  # and no other engine is taken instead
    monkeypatch.setenv("DOCKER_HOST", on_engine.host)
    assert ledger_of(Client.find()).folder == mine


# -- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error, said",
    [
        (APIError("", explanation="no space left on device.\n"), "Docker says: no space left"),
        (APIError("", explanation="an odd\n word"), "Docker says: an odd word."),
        (DockerException(), "The Docker engine does not answer"),
        (RequestException(), "The Docker engine does not answer"),
    ],
)
def test_what_the_sdk_raises_is_one_line_that_teaches(error: Exception, said: str) -> None:
    @asking()
    def ask() -> None:
        raise error

    for _again in range(2):
        line = refused(ask)
        assert line.startswith(said) and "\n" not in line


@pytest.mark.live("docker")
def test_reads_the_world(lab: Lab, student: Student) -> None:
    lab("pull busybox")
    id_ = lab("run -d --name w1 busybox sleep 1d")
    student("volume", "create", "w-volume")
    student("network", "create", "w-network")
    world = lab.client.world()
    image = find_thing(world["images"], "busybox")
    assert image and image["tags"] == ["busybox:latest"]
    assert f"{image['id']} {image['size']}" == plain(
        "inspect", "--format", "{{.Id}} {{.Size}}", "busybox"
    )
    container = find_thing(world["containers"], "w1")
    assert container and {**container, "created": 0} == {
        "id": id_,
        "name": "w1",
        "image": "busybox",
        "image_id": image["id"],
        "state": "running",
        "command": "sleep 1d",
        "created": 0,
        "lesson": "12",
    }
    assert {"w-volume"} <= {volume["name"] for volume in world["volumes"]}
    assert {"w-network", "bridge"} <= {network["name"] for network in world["networks"]}


@pytest.mark.live("docker")
def test_reads_the_images_between_the_steps_of_a_build_when_asked(lab: Lab) -> None:
    lab("build -t b/img:1 -", stdin="FROM busybox\nRUN true\nLABEL a=b\n")
    named = {image["id"] for image in lab.client.world()["images"]}
    everything = {image["id"] for image in lab.client.world(intermediate=True)["images"]}
    assert named < everything == inventory()["image"]
    stack = list(lab.client.stack("b/img:1"))
    assert set(stack) == everything and stack[-1] == plain("images", "-q", "--no-trunc", "busybox")


@pytest.mark.live("docker")
def test_reads_changes_and_images_and_files_and_saves(lab: Lab) -> None:
    client = lab.client
    lab("run --name c1 busybox sh -c 'echo a > /new; rm /etc/passwd; echo b > /etc/group'")
    changes = client.changes("c1")
    assert {change["path"]: change["kind"] for change in changes} == {
        "/etc": "C",
        "/etc/group": "C",
        "/etc/passwd": "D",
        "/new": "A",
    }
    assert [f"{change['kind']} {change['path']}" for change in changes] == sorted(
        plain("diff", "c1").splitlines(), key=lambda line: line[2:]
    )
    about = client.about("busybox")
    layers = plain("inspect", "--format", '{{join .RootFS.Layers ","}}', "busybox")
    config = json.loads(plain("inspect", "--format", "{{json .Config}}", "busybox"))
    assert about["diff_ids"] == layers.split(",")
    assert (about["command"], about["labels"]) == (config["Cmd"], config["Labels"])
    assert [step["created_by"] for step in about["history"]] == plain(
        "history", "--no-trunc", "--format", "{{.CreatedBy}}", "busybox"
    ).splitlines()[::-1]
    assert b"manifest.json" in b"".join(client.save("busybox"))
    assert b"a\n" in client.fetch("c1", "/new")


@pytest.mark.live("docker")
def test_what_is_not_there_is_said_with_what_helps(lab: Lab) -> None:
    assert "`docker images`" in refused(list, lab.client.save("no-such"))
    assert "`docker ps -a`" in refused(lab.client.changes, "no-such")
    for name in ("no-such", "", "/", "NO/such:!", "a\tb"):  # also what can be nobody's name
        for kind in ("containers", "images", "volumes", "networks"):
            assert lab.client.thing(kind, name) is None, (kind, name)


@pytest.mark.live("docker")
def test_a_thing_is_what_the_engine_takes_a_name_for(lab: Lab, student: Student) -> None:
    student("pull", "-q", "busybox")
    student("tag", "busybox", "t/img:1")
    image = plain("inspect", "--format", "{{.Id}}", "busybox")
    network = student("network", "create", "t-network")
    student("volume", "create", "t-volume")

    def thing(kind: str, name: str) -> Any:
        found = lab.client.thing(kind, name)
        return found and {**found, "tags": sorted(found["tags"])}

    for name in ("t/img:1", "docker.io/library/busybox", image, image[7:15]):
        assert thing("images", name) == {"id": image, "tags": ["busybox:latest", "t/img:1"]}
    assert thing("networks", network[:9]) == {"id": network, "tags": []}
    assert thing("volumes", "t-volume") == {"id": "t-volume", "tags": []}
