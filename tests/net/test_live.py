"""The live network: captures are what the model says, its rights are few, nothing of it stays."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from engines.dockerd import Dockerd
from live import ROOT, Student, inventory, plain, private, using
from samples.errors import refused

from labkit.docker.client import LABEL, Client
from labkit.docker.engine import Docker
from labkit.docker.images import Recipe, build
from labkit.engine import PREFETCHED
from labkit.lesson import Lesson
from labkit.net import live
from labkit.net.engine import Console
from labkit.net.statements import changed, parse
from labkit.net.twin import compared

pytestmark = pytest.mark.live("docker")

LESSON = "netlive"
RECIPE = Recipe(LESSON, ROOT / "notebooks" / "lessons" / "02" / "images" / "net")

SCHOOL = """
switch s1 s2
host pc1 10.0.10.1/24 s1.1 via 10.0.10.254
host sec1 10.0.20.1/24 s1.2 via 10.0.20.254
host guest 10.0.12.1/24 s1.3 via 10.0.12.254
host pc2 10.0.10.2/24 s2.1 via 10.0.10.254
host lonely 10.0.20.2/24 s2.2  # no gateway
host astray 10.0.10.9/24 s2.3 via 10.0.10.254  # in the VLAN of others
host far 10.0.99.1/24 s2.4 via 10.0.98.1  # a gateway out of reach; no router knows its network
host narrow 10.0.10.65/26 s2.5 via 10.0.10.126
router r s1.23 10:10.0.10.254/24 11:10.0.11.254/24 12:10.0.12.254/24 20:10.0.20.254/24
router q s2.23 10:10.0.10.126/24
deny r 12 20
link s1.24 s2.24
access 10 s1.1 s2.1 s2.4 s2.5
access 20 s1.2 s2.2
access 12 s1.3 s2.3
trunk 10-12,20 s1.23 s1.24 s2.24 s2.23
"""
NATIVE = (ROOT / "notebooks" / "lessons" / "02" / "native.net").read_text("utf-8")
MISMATCHED = """
switch s1 s2 s3
host a 10.0.0.1/24 s1.1
host b 10.0.0.2/24 s2.1
host c 10.0.0.3/24 s2.2
host d 10.0.0.4/24 s3.1
link s1.24 s2.24
link s2.23 s3.23
access 10 s1.1 s2.2
access 20 s2.1 s3.1 s3.23
trunk 10,20 native 10 s1.24
trunk 10,20 native 20 s2.24
trunk 10 s2.23
"""


class Case(NamedTuple):
    """A topology, what is tried on it, and a change that the first trial must notice."""

    topology: str
    trials: Sequence[str]
    change: str


CASES = {
    "school": Case(
        SCHOOL,
        [
            *("pc1 pc2", "pc1 pc1", "pc1 sec1", "sec1 guest", "guest sec1", "pc1 lonely"),
            *("lonely pc1", "pc1 far", "far pc1", "pc1 narrow", "sec1 astray", "pc1 astray"),
            *("pc1 pc2 0", "pc1 pc2 0 20", "pc1 pc2 10"),
        ],
        "access 20 s2.1",
    ),
    "native": Case(
        NATIVE,
        [
            *("pc1 pc2", "sec1 pc2", "mallory sec2 1 20", "mallory sec2 0 20"),
            *("mallory sec2 20", "mallory pc2 1", "mallory pc2 0 1 20", "pc1 sec1 1 20"),
        ],
        "trunk 20 s1.1",
    ),
    "mismatched": Case(
        MISMATCHED, ["a b", "a c", "b d", "a b 10 20", "d b 0 10", "c d"], "access 20 s1.24"
    ),
}


def lab_of(docker: Docker, text: str) -> live.LiveNetwork:
    """A live network of these tests' own lesson."""
    return live.LiveNetwork(docker, parse(text), RECIPE)


@pytest.fixture(scope="module")
def engine() -> Iterator[Dockerd]:
    """An engine of these tests' own: one of them kills it."""
    with private() as found:
        yield found


@pytest.fixture(scope="module")
def built(engine: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """The engine with the image, noted in a home of its own; at the end the engine is as before."""
    config = tmp_path_factory.mktemp("config")
    with using(engine, config), pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_HOME", str(tmp_path_factory.mktemp("home")))
        before, docker = inventory(), Docker(Client.find(), LESSON)
        kept = Docker(docker.client, PREFETCHED)
        build(RECIPE, docker.client, docker.runs(PREFETCHED))
        assert docker.ledger.lessons() == [PREFETCHED]
    yield docker
    with using(engine, config):
        assert kept.clean() == []
        # Killed, it has a new bridge.
        assert inventory() | {"network": before["network"]} == before


# -- what goes wrong: a line that teaches, and nothing stays ------------------------------------

PAIR = "switch s1\nhost a 10.0.0.1/24 s1.1\nhost b 10.0.0.2/24 s1.2"


class Taught:
    """A lesson with a live network: calling it runs ``%net``."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(RECIPE.folder, folder / "images" / "net")
        (folder / "tasks.py").write_text('NEEDS = {"docker": ["docker"], "net": ["net"]}\n')
        self.lesson = Lesson(LESSON, "live", folder)
        self.console: Console = self.lesson.engine("net")
        self.docker: Docker = self.lesson.engine("docker")
        self.console.load(PAIR)

    def __call__(self, line: str) -> str:
        answer = self.console.do(line.split())
        assert answer.ok
        return str(answer)

    def refused(self, line: str) -> str:
        """The line with which it refuses, leaving the engine as it was."""
        before = inventory()
        told = refused(self.console.do, line.split())
        assert inventory() == before
        return told


@pytest.fixture
def net(built: Docker, student: Student, tmp_path: Path) -> Iterator[Taught]:
    """Beside it a student, whose things must survive; it leaves nothing but by `%net up`."""
    taught = Taught(tmp_path / LESSON)
    student("run", "-d", "--name", "own", "--network", "none", RECIPE.tag, "sleep", "1d")
    yield taught
    assert plain("inspect", "--format", "{{.State.Status}}", "own") == "running"
    if inventory() != student.expected():
        taught("down")
    assert inventory() == student.expected()
    assert taught.docker.ledger.lessons() == []


@pytest.mark.parametrize(
    "what, value, words",
    [
        ("TUN", "/dev/net/nope", "which the engine's machine lacks: `sudo modprobe tun` there"),
        ("RIGHTS", ["NET_RAW", "SETGID", "SETUID"], "This engine gives containers no NET_ADMIN"),
        ("_EYES", "exec 2>/tmp/said; echo it dies >&2", "it said: it dies. Run `%net up` again"),
        (
            "_SWITCHES",
            "echo it dies; exit 1",
            "Open vSwitch has ended in the live network; it said: it dies. Run `%net",
        ),
        ("MOST", 1, "2 hosts and routers are too many for containers; up to 1 are fine."),
    ],
    ids=["device", "NET_ADMIN", "tcpdump", "Open vSwitch", "room"],
)
def test_what_is_missing(
    what: str, value: object, words: str, net: Taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PATIENCE", 1)
    monkeypatch.setattr(live, what, value)
    assert words in net.refused("up")


def test_a_kernel_without_ipv6(net: Taught, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows no such setting, and the engine starts no container with one."""
    monkeypatch.setattr(live, "_NO_IPV6", {"net.ipv6.conf.none.disable_ipv6": "1"})
    assert net("up") == "Up: switches: 1, hosts: 2."
    net("down")


@pytest.mark.parametrize(
    "line, words",
    [
        ("RUN false", "The command '/bin/sh -c false' returned a non-zero code: 1"),
        ("RUN echo E: no package x; false", "could not be built: E: no package x"),
        ("", "Lesson netlive has no recipe of an image net."),
    ],
    ids=["a step", "a package", "the recipe"],
)
def test_an_image_that_cannot_be_built(line: str, words: str, net: Taught) -> None:
    recipe = net.lesson.folder / "images" / "net" / "Dockerfile"
    recipe.write_text(f"FROM {RECIPE.tag}\n{line}\n") if line else recipe.unlink()
    assert words in net.refused("up")


@pytest.mark.parametrize(
    "device", ["host net 10.0.0.3/24 s1.3", "switch lo", "switch ovs-netdev", "switch r-10"]
)
def test_names_that_the_live_network_uses_itself(device: str, net: Taught) -> None:
    net.console.load(f"{PAIR}\n{device}\nrouter r s1.9 10:10.0.0.9/24")
    assert "of its own: give that device another name." in net.refused("up")


def test_up_and_down_twice_and_comparing_what_is_not_there(net: Taught) -> None:
    away = "The live network is not up, for labnetlive-{} is not running: `%net up`, then this"
    assert away.format("a") in net.refused("compare a b")
    for _time in range(2):
        assert net("up") == "Up: switches: 1, hosts: 2."
        names = {thing["name"] for thing in net.lesson.world()["containers"]}
        assert names == {"own", "labnetlive-net", "labnetlive-a", "labnetlive-b"}
    net("compare a b")
    plain("exec", "labnetlive-net", "pkill", "-f", "eye/s1.2")
    assert "tcpdump is not running at each port" in net.refused("compare a b")
    plain("rm", "-f", "labnetlive-b")
    assert away.format("b") in net.refused("compare a b")
    net("up")
    plain("rm", "-f", "labnetlive-net")
    assert "The live network is not up, for labnetlive-" in net.refused("compare a b")
    assert net("down") == "2 containers are gone."
    assert net("down") == "0 containers are gone."


@pytest.mark.parametrize("device", ["net", "b"])
def test_a_students_container_of_that_name(device: str, net: Taught, student: Student) -> None:
    name = f"labnetlive-{device}"
    options = ("--name", name, "--network", "none", "--label", f"{LABEL}={LESSON}")
    student("run", "-d", *options, RECIPE.tag, "sleep", "1d")
    before = student.inspected()
    assert f'The container name "/{name}" is already in use' in net.refused("up")
    net("down")
    assert student.inspected() == before


@pytest.mark.parametrize(
    "where, before", [("create_container", False), ("start", True), ("get_archive", False)]
)
def test_interrupted(
    where: str, before: bool, net: Taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = net.docker.client.api
    real = getattr(api, where)

    def interrupted(*args: Any, **options: Any) -> None:
        if not before:
            real(*args, **options)
        raise KeyboardInterrupt

    found = inventory()
    monkeypatch.setattr(api, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        net("up")
    assert inventory() == found
    assert net.docker.ledger.entries(LESSON) == []


def test_the_engine_is_killed(built: Docker, on_engine: Dockerd) -> None:
    options = ("--stop-timeout", "1", "--restart", "always", "--network", "none")
    own = plain("run", "-d", *options, RECIPE.tag, "sleep", "1d")
    before = inventory()
    docker = Docker(Client.find(), LESSON)
    lab = lab_of(docker, PAIR)
    try:
        lab.up()
        on_engine.kill()
        assert "The Docker engine does not answer" in refused(lab.down)
        refused(lab.trial, "a", "b")
        on_engine.start()
        assert docker.clean() == []
        assert inventory() | {"network": before["network"]} == before  # a new bridge
        assert plain("inspect", "--format", "{{.State.Status}}", own) == "running"
        lab.up()
        assert compared(lab.topology, ["a", "b"], lab.trial("a", "b")).ok
        lab.down()
        assert plain("ps", "-aq", "--no-trunc") == own
    finally:
        plain("rm", "-f", own)


# -- the model and the captures -----------------------------------------------------------------


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(scope="module")
def up(
    engine: Dockerd, built: Docker, case: Case, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[live.LiveNetwork]:
    """A topology, up for all tests that ask for it."""
    found = lab_of(built, case.topology)
    config = tmp_path_factory.mktemp("config")
    with using(engine, config):
        before = inventory()
        found.up()
    yield found
    with using(engine, config):
        found.down()
        assert inventory() == before
        assert built.ledger.entries(LESSON) == []


def test_the_captures_say_what_the_model_says(
    up: live.LiveNetwork, case: Case, on_engine: Dockerd
) -> None:
    for words in map(str.split, case.trials):
        answer = compared(up.topology, words, up.trial(*words))
        assert answer.ok and "The same " in str(answer), (words, str(answer))
    before = up.captures()
    time.sleep(1.2)  # after which Linux would ask again
    assert up.captures() == before
    words = case.trials[0].split()
    answer = compared(changed(up.topology, case.change), words, up.trial(*words))
    assert not answer.ok and "They differ" in str(answer)


def test_least_rights(up: live.LiveNetwork, on_engine: Dockerd) -> None:
    topology = up.topology
    devices = ["net", *topology.hosts, *topology.routers]
    containers = json.loads(plain("inspect", *map(up.name, devices)))
    made = {entry[1] for entry in up.docker.ledger.entries(LESSON)}
    assert {container["Id"] for container in containers} == made
    for container in containers:
        host, network = container["HostConfig"], container["NetworkSettings"]
        assert sorted(host["CapAdd"]) == sorted(live.RIGHTS)
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["NetworkMode"] == "none"
        assert [device["PathOnHost"] for device in host["Devices"]] == ["/dev/net/tun"]
        assert (host["IpcMode"], host["UTSMode"], host["UsernsMode"]) == ("private", "", "")
        of_the_switches = container["Name"] == f"/{up.name('net')}"
        shared = "" if of_the_switches else f"container:{containers[0]['Id']}"
        assert host["PidMode"] == shared
        assert not host["Privileged"]
        assert not container["Mounts"] and not host["Binds"]
        assert not host["PortBindings"] and not host["PublishAllPorts"] and not network["Ports"]
        assert list(network["Networks"]) == ["none"]
        assert container["Config"]["Labels"][LABEL] == LESSON


def test_nothing_leaves(up: live.LiveNetwork, on_engine: Dockerd) -> None:
    """No device has a cable, a route or an address but those of the topology."""
    topology = up.topology

    def told(device: str, about: str) -> list[Any]:
        return list(json.loads(up.inside(device, ["ip", "-j", about])))

    def links(device: str) -> set[str]:
        return {link["ifname"] for link in told(device, "link")}

    for name, host in topology.hosts.items():
        assert links(name) == {"lo", "eth0"}
        via = [str(host.via)] if host.via and host.via in host.address.network else []
        ways = [way.get("gateway", way["dst"]) for way in told(name, "route")]
        assert ways == [*via, str(host.address.network)]
    sticks = set()
    for name, router in topology.routers.items():
        assert links(name) == {"lo", *(f"eth{vlan}" for vlan in router.addresses)}
        assert not any("gateway" in way for way in told(name, "route"))
        sticks |= {f"{name}-{vlan}" for vlan in router.addresses}
    own = [link for link in told("net", "link") if link["ifname"] != "lo"]
    leaving = {link["ifname"] for link in own if link.get("link_netnsid") is not None}
    assert leaving == sticks | {str(host.plug) for host in topology.hosts.values()}
    bridges = {"ovs-netdev", *topology.switches, *(f"{name}-r" for name in topology.routers)}
    ends = {link["ifname"] for link in own if "link" in link or "link_netnsid" in link}
    assert {link["ifname"] for link in own} == ends | bridges
    assert told("net", "route") == []
    addresses = {link["ifname"] for link in told("net", "address") if link["addr_info"]}
    assert addresses <= {"lo"}
