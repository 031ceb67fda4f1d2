"""The live twin's commands: when they are recorded, and what the model says beside the captures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from samples import networks
from samples.errors import refused
from samples.networks import STICK, TWO

from labkit.commands import Result
from labkit.docker.images import Recipe
from labkit.engine import Command, Heard
from labkit.errors import LabError
from labkit.net import twin
from labkit.net.engine import Console
from labkit.net.network import Network
from labkit.net.statements import changed, parse
from labkit.net.topology import Topology
from labkit.net.twin import compared, expected

PING = [
    "s1.1   -     ARP who has ben? tell ana",
    "s1.1   -     ARP ben is at ben",
    "s1.1   -     ICMP echo request ana → ben",
    "s1.1   -     ICMP echo reply ben → ana",
    "s1.2   -     ARP who has ben? tell ana",
    "s1.9   10    ARP who has ben? tell ana",
]


def live(lines: Sequence[str], code: int = 0) -> Result:
    """A trial that says so."""
    return Result(("net",), code, (("out", "".join(f"{line}\n" for line in lines)),))


def told(text: str, line: str, result: Result) -> tuple[bool, list[str]]:
    answer = compared(parse(text), line.split(), result)
    return answer.ok, str(answer).splitlines()


def test_each_port_of_a_switch_sees_its_frames_in_order() -> None:
    made = parse(TWO)
    lines = expected(made, Network(made).ping("ana", "ben")[1])
    assert lines[: len(PING)] == PING
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in lines)
    assert not any(line.startswith("s2.2 ") for line in lines)  # it is in another VLAN


@pytest.mark.parametrize(
    "text, line, outcome, code",
    [
        (TWO, "ana ben", "It is answered: live yes, model yes.", 0),
        (TWO, "ana dan", "It is answered: live no, model no.", 1),
        (TWO, "ana ben 0", "It arrives: live yes, model yes.", 0),
        (TWO, "ana dan 10", "It arrives: live no, model no.", 1),
        (STICK, "ana ben", "It is answered: live yes, model yes.", 0),
    ],
)
def test_frames_and_outcome_are_compared(text: str, line: str, outcome: str, code: int) -> None:
    console = networks.console(text, f"{'send' if len(line.split()) > 2 else 'ping'} {line}")
    lines = expected(console.topology, console.steps)
    same = f"The same {len(lines)} frames at the same ports, in the same order:"
    assert told(text, line, live(lines, code)) == (True, [outcome, same, *lines])
    ok, other = told(text, line, live(lines, 1 - code))
    assert not ok and other[0] != outcome and other[1].startswith("They differ; ")
    ok, other = told(text, line, live([*lines[1:], "s2.9   -     ARP"], code))
    changes = [each for each in other[2:] if not each.startswith(" ")]
    assert not ok and changes == [*(f"- {each}" for each in lines[:1]), "+ s2.9   -     ARP"]


def test_a_port_that_was_changed_since_is_noticed() -> None:
    made = parse(TWO)
    lines = expected(made, Network(made).ping("ana", "ben")[1])
    assert not compared(changed(made, "access 20 s2.1"), ["ana", "ben"], live(lines)).ok


# -- commands -----------------------------------------------------------------------------------


class Taped:
    """A lesson that notes what would be recorded."""

    name, folder = "77", Path()

    def __init__(self) -> None:
        self.noted: list[tuple[Command, str]] = []

    def requires(self, name: str) -> None:
        """It has Docker."""

    def engine(self, name: str) -> str:
        return name

    def taped(self, command: Command, stdin: str, does: Callable[[], Result]) -> Result:
        self.noted.append((command, stdin))
        return does()


class StandIn:
    """What the containers would say."""

    def __init__(self, docker: str, topology: Topology, recipe: Recipe) -> None:
        assert (docker, recipe) == ("docker", Recipe("77", Path("images", "net")))

    def up(self, heard: Heard) -> str:
        return "Up: switches: 2."

    def down(self) -> str:
        return "4 containers are gone."

    def trial(self, start: str, target: str, *tags: str) -> Result:
        return live([" ".join((start, target, *tags))])


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setattr(twin, "LiveNetwork", StandIn)
    console = networks.console(TWO)
    console.session = Taped()  # type: ignore[assignment]
    return console


@pytest.mark.parametrize(
    "line, words, effect",
    [
        ("up", "Up: switches: 2.", "unseen"),
        ("down", "4 containers are gone.", "unseen"),
        ("compare ana ben", "+ ana ben", "none"),
        ("compare ana ben 0 10", "+ ana ben 0 10", "none"),
    ],
)
def test_a_command_is_recorded_with_its_topology(
    console: Console, line: str, words: str, effect: str
) -> None:
    assert words in str(console.do(line.split())).splitlines()
    session: Any = console.session
    key = ("net", *line.split())
    assert session.noted == [(Command(key, key, effect), str(console.topology))]


@pytest.mark.parametrize(
    "line, words",
    [
        *((line, "Use it as `%net up`") for line in ("compare ana", "up now", "down ana")),
        ("compare ana ben 1 2 3 4 5", "Use it as `%net up`"),
        ("compare ana nobody", "There is no host 'nobody'; there are: ana, ben, cy, dan."),
        ("compare s1 ben", "There is no host 's1'"),
        ("compare ana ben 4096", "A tag is a number from 0 to 4095"),
    ],
)
def test_a_mistake_is_told(console: Console, line: str, words: str) -> None:
    assert words in refused(console.do, line.split())


def test_before_there_is_a_network_or_without_docker(console: Console) -> None:
    def without(name: str) -> None:
        raise LabError("This lesson works without {name}.", name=name)

    console.session.requires = without  # type: ignore[method-assign]
    for line in ("up", "down", "compare ana ben"):
        assert refused(console.do, line.split()) == "This lesson works without docker."
        assert "There is no network yet" in refused(networks.console().do, line.split())
