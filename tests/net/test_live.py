"""The live network: the model's frames and the captures are the same, its rights are few, and nothing of it stays."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engines.dockerd import Dockerd
from live import ROOT, Student, inventory, plain, private, using

from labkit.docker.engine import LABEL, Docker
from labkit.errors import LabError
from labkit.lesson import Lesson
from labkit.net import live
from labkit.net.statements import parse

pytestmark = pytest.mark.docker

RECIPE = ROOT / "notebooks" / "lessons" / "02" / "net"
LESSON = "netlive"

SCHOOL = """
switch s1 s2
host pc1 10.0.10.1/24 s1.1 via 10.0.10.254
host sec1 10.0.20.1/24 s1.2 via 10.0.20.254
host guest 10.0.12.1/24 s1.3 via 10.0.12.254
host pc2 10.0.10.2/24 s2.1 via 10.0.10.254
host lonely 10.0.20.2/24 s2.2  # no gateway
host astray 10.0.10.9/24 s2.3 via 10.0.10.254  # in the VLAN of others
host far 10.0.99.1/24 s2.4 via 10.0.98.1  # a gateway out of its reach, and a network that no router knows
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
TRIALS = {
    SCHOOL: """pc1 pc2, pc1 pc1, pc1 sec1, sec1 guest, guest sec1, pc1 lonely, lonely pc1, pc1 far, far pc1,
                     pc1 narrow, sec1 astray, pc1 pc2 0, pc1 pc2 0 20, pc1 pc2 10, pc1 astray""",
    NATIVE: """pc1 pc2, sec1 pc2, mallory sec2 1 20, mallory sec2 0 20, mallory sec2 20, mallory pc2 1,
                     mallory pc2 0 1 20, pc1 sec1 1 20""",
    MISMATCHED: "a b, a c, b d, a b 10 20, d b 0 10, c d",
}
# A change after which the model must see another way for the first of these trials.
OTHER = {SCHOOL: "access 20 s2.1", NATIVE: "trunk 20 s1.1", MISMATCHED: "access 20 s1.24"}


class Lab(live.Lab):
    """A live network of these tests' own lesson."""

    def __init__(self, docker: Docker, text: str) -> None:
        super().__init__(docker, parse(text), LESSON, RECIPE)
        self.text = text


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
        before, docker = inventory(), Docker.find()
        live.build(docker, LESSON, RECIPE)
        assert docker.ledger.lessons() == ["prefetched"]
    yield docker
    with using(engine, config):
        assert docker.clean("prefetched") == []
        assert {
            **inventory(),
            "network": before["network"],
        } == before  # killed, it has a new bridge


# -- what goes wrong: a line that teaches, and nothing stays ------------------------------------

PAIR = "switch s1\nhost a 10.0.0.1/24 s1.1\nhost b 10.0.0.2/24 s1.2"
TUNLESS = "The live network needs /dev/net/nope, which the engine's machine lacks: `sudo modprobe tun` there"


@pytest.fixture
def lesson(built: Docker, student: Student, tmp_path: Path) -> Iterator[Lesson]:
    """A lesson with a live network, beside a student whose things must survive; it leaves nothing but by `%net up`."""
    folder = tmp_path / LESSON
    shutil.copytree(RECIPE, folder / "net")
    found = Lesson(LESSON, "live", folder)
    found.console.load(PAIR)
    student(
        "run", "-d", "--name", "own", "--network", "none", live.image(LESSON, RECIPE), "sleep", "1d"
    )
    yield found
    assert plain("inspect", "--format", "{{.State.Status}}", "own") == "running"
    assert inventory() == student.expected() or found.net(["down"]).ok
    assert inventory() == student.expected()
    assert found.docker and found.docker.ledger.lessons() == []


def said(does: Callable[[], object]) -> str:
    """The one line with which it is refused."""
    with pytest.raises(LabError) as error:
        does()
    assert "\n" not in str(error.value) and len(str(error.value)) < 600
    return str(error.value)


def refused(lesson: Lesson, *words: str) -> str:
    """The line with which `%net` refuses, leaving the engine as it was."""
    before = inventory()
    text = said(lambda: lesson.net(list(words)))
    assert inventory() == before
    return text


@pytest.mark.parametrize(
    "what, value, words",
    [
        ("TUN", "/dev/net/nope", TUNLESS),
        ("RIGHTS", ["NET_RAW", "SETGID", "SETUID"], "This engine gives containers no NET_ADMIN"),
        (
            "_EYES",
            "exec 2>/tmp/said; echo it dies >&2",
            "tcpdump is not running at each port of the live network; it said: "
            "it dies. Run `%net up` again",
        ),
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
    what: str, value: object, words: str, lesson: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PATIENCE", 1)
    monkeypatch.setattr(live, what, value)
    assert words in refused(lesson, "up")


def test_a_kernel_without_ipv6(lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows no such setting, and the engine starts no container with one."""
    monkeypatch.setattr(live, "_SYSCTLS", live._SYSCTLS | {"net.ipv6.conf.none.disable_ipv6": "1"})
    assert "Up: switches: 1, hosts: 2." in str(lesson.net(["up"]))
    assert lesson.net(["down"]).ok


@pytest.mark.parametrize(
    "lines, words",
    [
        (
            "RUN false",
            "could not be built: The command '/bin/sh -c false' returned a non-zero code: 1",
        ),
        (
            "RUN echo E: Unable to locate package x; false",
            "could not be built: E: Unable to locate package x",
        ),
        ("", "There is no live network in this lesson: use `%net up` in the lessons 02 and 03."),
    ],
    ids=["a step", "a package", "the recipe"],
)
def test_an_image_that_cannot_be_built(lines: str, words: str, lesson: Lesson) -> None:
    recipe = lesson.folder / "net" / "Dockerfile"
    recipe.write_text(f"FROM {live.image(LESSON, RECIPE)}\n{lines}\n") if lines else recipe.unlink()
    assert words in refused(lesson, "up")


@pytest.mark.parametrize(
    "device", ["host net 10.0.0.3/24 s1.3", "switch lo", "switch ovs-netdev", "switch r-10"]
)
def test_names_that_the_live_network_uses_itself(device: str, lesson: Lesson) -> None:
    lesson.console.load(f"{PAIR}\n{device}\nrouter r s1.9 10:10.0.0.9/24")
    assert "of its own: give that device another name." in refused(lesson, "up")


def test_up_and_down_twice_and_comparing_what_is_not_there(lesson: Lesson) -> None:
    assert "The live network is not up, for labnetlive-a is not running: `%net up`" in refused(
        lesson, "compare", "a", "b"
    )
    for _ in range(2):
        assert "Up: switches: 1, hosts: 2." in str(lesson.net(["up"]))
        assert {thing["name"] for thing in lesson.world()["containers"]} == {
            "own",
            "labnetlive-net",
            "labnetlive-a",
            "labnetlive-b",
        }
    assert lesson.net(["compare", "a", "b"]).ok
    assert "There is no host 'nobody'; there are: a, b." in refused(
        lesson, "compare", "a", "nobody"
    )
    assert "There is no host 's1'" in refused(lesson, "compare", "s1", "b")
    assert "A tag is a number from 0 to 4095" in refused(lesson, "compare", "a", "b", "4096")
    for words in (["compare", "a"], ["up", "now"], ["down", "a"]):
        assert "Use it as `%net up`" in refused(lesson, *words)
    plain("exec", "labnetlive-net", "pkill", "-f", "eye/s1.2")
    assert "tcpdump is not running at each port of the live network" in refused(
        lesson, "compare", "a", "b"
    )
    plain("rm", "-f", "labnetlive-b")
    assert "The live network is not up, for labnetlive-b is not running" in refused(
        lesson, "compare", "a", "b"
    )
    lesson.net(["up"])
    plain("rm", "-f", "labnetlive-net")
    assert "The live network is not up, for labnetlive-" in refused(lesson, "compare", "a", "b")
    assert str(lesson.net(["down"])) == "2 containers are gone."
    assert str(lesson.net(["down"])) == "0 containers are gone."


@pytest.mark.parametrize("device", ["net", "b"])
def test_a_students_container_of_that_name(device: str, lesson: Lesson, student: Student) -> None:
    student(
        "run",
        "-d",
        "--name",
        f"labnetlive-{device}",
        "--network",
        "none",
        "--label",
        f"{LABEL}={LESSON}",
        live.image(LESSON, RECIPE),
        "sleep",
        "1d",
    )
    before = student.inspected()
    assert f'The container name "/labnetlive-{device}" is already in use' in refused(lesson, "up")
    lesson.net(["down"])
    assert student.inspected() == before


@pytest.mark.parametrize(
    "where, before", [("create_container", False), ("start", True), ("get_archive", False)]
)
def test_interrupted(
    where: str, before: bool, lesson: Lesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lesson.docker
    real = getattr(lesson.docker.api, where)

    def interrupted(*args: Any, **options: Any) -> None:
        if not before:
            real(*args, **options)
        raise KeyboardInterrupt

    found = inventory()
    monkeypatch.setattr(lesson.docker.api, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        lesson.net(["up"])
    assert inventory() == found
    assert lesson.docker.ledger.entries(LESSON) == []


def test_the_engine_is_killed(built: Docker, on_engine: Dockerd) -> None:
    own = plain(
        "run",
        "-d",
        "--stop-timeout",
        "1",
        "--restart",
        "always",
        "--network",
        "none",
        live.image(LESSON, RECIPE),
        "sleep",
        "1d",
    )
    before, lab = inventory(), Lab(Docker.find(), PAIR)
    try:
        lab.up()
        on_engine.kill()
        assert "The Docker engine does not answer" in said(lab.down)
        said(lambda: lab.trial("a", "b"))
        on_engine.start()
        assert lab.docker.clean(LESSON) == []
        assert {**inventory(), "network": before["network"]} == before  # a new bridge
        assert plain("inspect", "--format", "{{.State.Status}}", own) == "running"
        lab.up()
        assert live.compared(lab.topology, ["a", "b"], lab.trial("a", "b")).ok
        lab.down()
        assert plain("ps", "-aq", "--no-trunc") == own
    finally:
        plain("rm", "-f", own)


# -- the model and the captures -----------------------------------------------------------------


@pytest.fixture(scope="module", params=TRIALS, ids=["school", "native", "mismatched"])
def net(
    engine: Dockerd,
    built: Docker,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    """A topology, up for all tests that ask for it."""
    lab, config = Lab(built, request.param), tmp_path_factory.mktemp("config")
    with using(engine, config):
        before = inventory()
        lab.up()
    yield lab
    with using(engine, config):
        lab.down()
        assert inventory() == before
        assert built.ledger.entries(LESSON) == []


def test_the_captures_say_what_the_model_says(net: Lab, on_engine: Dockerd) -> None:
    for words in (trial.split() for trial in TRIALS[net.text].split(",")):
        found = live.compared(net.topology, words, net.trial(*words))
        assert found.ok, (words, str(found))
        assert "The same " in str(found)
    before = net.captures()
    time.sleep(1.2)  # after which Linux would ask again
    assert net.captures() == before


def test_the_model_of_another_network_differs(net: Lab, on_engine: Dockerd) -> None:
    first = TRIALS[net.text].partition(",")[0].split()
    found = live.compared(net.topology.changed(OTHER[net.text]), first, net.trial(*first))
    assert not found.ok
    assert "They differ" in str(found)


# -- its rights ---------------------------------------------------------------------------------


def test_least_rights(net: Lab, on_engine: Dockerd) -> None:
    devices = ["net", *net.topology.hosts, *net.topology.routers]
    found = json.loads(plain("inspect", *map(net.name, devices)))
    assert {thing["Id"] for thing in found} == {
        entry[1] for entry in net.docker.ledger.entries(LESSON)
    }
    for thing in found:
        host, network = thing["HostConfig"], thing["NetworkSettings"]
        assert sorted(host["CapAdd"]) == sorted(live.RIGHTS)
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["NetworkMode"] == "none"
        assert [device["PathOnHost"] for device in host["Devices"]] == ["/dev/net/tun"]
        assert (host["IpcMode"], host["UTSMode"], host["UsernsMode"]) == ("private", "", "")
        assert host["PidMode"] == (
            "" if thing["Name"] == f"/{net.name('net')}" else f"container:{found[0]['Id']}"
        )
        assert not host["Privileged"]
        assert not (
            thing["Mounts"] or host["Binds"] or host["PortBindings"] or host["PublishAllPorts"]
        )
        assert not network["Ports"]
        assert list(network["Networks"]) == ["none"]
        assert thing["Config"]["Labels"][LABEL] == LESSON


def test_nothing_leaves(net: Lab, on_engine: Dockerd) -> None:
    made = net.topology

    def ways(device: str, *what: str) -> list[Any]:
        return list(json.loads(net.inside(device, "ip", "-j", *what)))

    for name, host in made.hosts.items():
        assert {link["ifname"] for link in ways(name, "link")} == {"lo", "eth0"}
        via = [str(host.via)] if host.via and host.via in host.address.network else []
        assert [way.get("gateway", way["dst"]) for way in ways(name, "route")] == [
            *via,
            str(host.address.network),
        ]
    for name, router in made.routers.items():
        assert {link["ifname"] for link in ways(name, "link")} == {
            "lo",
            *(f"eth{vlan}" for vlan in router.addresses),
        }
        assert not any("gateway" in way for way in ways(name, "route"))
    own = [link for link in ways("net", "link") if link["ifname"] != "lo"]
    assert ways("net", "route") == []
    assert {link["ifname"] for link in own if link.get("link_netnsid") is not None} == {
        *(str(host.plug) for host in made.hosts.values()),
        *(f"{name}-{vlan}" for name, router in made.routers.items() for vlan in router.addresses),
    }
    assert all(
        "link" in link or "link_netnsid" in link
        for link in own
        if link["ifname"]
        not in {"ovs-netdev", *made.switches, *(f"{name}-r" for name in made.routers)}
    )
    assert not any(
        address
        for link in ways("net", "address")
        for address in link["addr_info"]
        if link["ifname"] != "lo"
    )
