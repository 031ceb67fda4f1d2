"""What the tests of networks share: scapy to compare with, and topologies."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from labkit.errors import LabError
from labkit.net.engine import Console
from labkit.net.headers import dissect
from labkit.net.statements import parse
from labkit.net.topology import Topology

TWO = """\
switch s1 s2
host ana 10.0.10.1/24 s1.1
host ben 10.0.10.2/24 s2.1
host cy 10.0.10.3/24 s1.2
host dan 10.0.20.4/24 s2.2
link s1.9 s2.9
access 10 s1.1 s1.2 s2.1
access 20 s2.2
trunk 10,20 s1.9 s2.9
"""
STICK = """\
switch s
host ana 10.0.10.1/24 s.1 via 10.0.10.254
host ben 10.0.20.1/24 s.2 via 10.0.20.254
router r s.9 10:10.0.10.254/24 20:10.0.20.254/24
access 10 s.1
access 20 s.2
trunk 10,20 s.9
"""


def console(text: str = "", *commands: str, folder: Path | None = None) -> Console:
    """The console of a lesson in that folder, its network built and commands run."""
    found = Console(SimpleNamespace(folder=folder or Path()))  # type: ignore[arg-type]
    if text:
        found.load(text)
    for command in commands:
        found.do(command.split())
    return found


def scapy() -> Any:
    """All layers of scapy, for tests with that marker: only contributors install it."""
    return import_module("scapy.all")


def names(frame: bytes, first: str = "Ethernet") -> list[str]:
    """The headers of a frame, in order."""
    return [header.name for header in dissect(frame, first)]


def fields(frame: bytes, name: str, first: str = "Ethernet") -> dict[str, int]:
    """The fields of the first header with that name."""
    header = next(header for header in dissect(frame, first) if header.name == name)
    return {value.name: value.value for value in header.values}


def parsed(text: str) -> Topology:
    """A random topology; hypothesis takes another one if a VLAN runs in a ring."""
    try:
        return parse(text)
    except LabError as error:
        assert "ring" in str(error)
        assume(False)
        raise


VLANS = (1, 10, 20)


@st.composite
def ports(draw: st.DrawFn, mismatch: bool = True) -> str:
    """What a port does: access, or a trunk with or without a native VLAN."""
    if draw(st.booleans()):
        return f"access {draw(st.sampled_from(VLANS))}"
    allowed = ",".join(map(str, sorted(draw(st.sets(st.sampled_from(VLANS), min_size=1)))))
    native = draw(st.sampled_from([None, *VLANS])) if mismatch else None
    return f"trunk {allowed}" + (f" native {native}" if native else "")


@st.composite
def topologies(draw: st.DrawFn, mismatch: bool = True, routers: int = 2) -> str:
    """A tree of one to four switches with up to eight hosts, as text.

    ``mismatch``: the two ends of a link may differ.
    """
    count = draw(st.integers(1, 4))
    lines = [f"switch {' '.join(f's{n}' for n in range(1, count + 1))}"]
    for n in range(2, count + 1):
        one, other = f"s{draw(st.integers(1, n - 1))}.{20 + n}", f"s{n}.20"
        here = draw(ports(mismatch))
        there = draw(ports()) if mismatch and draw(st.booleans()) else here
        lines += [f"link {one} {other}", f"{here} {one}", f"{there} {other}"]
    gateways = list[str]()
    for n in range(draw(st.integers(0, routers))):
        plug = f"s{draw(st.integers(1, count))}.{18 + n}"
        addresses = dict[int, str]()
        vlans = draw(st.lists(st.sampled_from(VLANS), min_size=1, unique=True))
        for at, vlan in enumerate(vlans):
            addresses[vlan] = f"10.0.{draw(st.integers(1, 2))}.{200 + 10 * n + at}"
        gateways += addresses.values()
        prefixes = st.sampled_from([16, 24, 24, 24])
        ways = " ".join(f"{vlan}:{address}/{draw(prefixes)}" for vlan, address in addresses.items())
        lines.append(f"router r{n} {plug} {ways}")
        lines.append(f"{draw(st.one_of(st.just('trunk 1,10,20'), ports()))} {plug}")
        pairs = st.tuples(st.sampled_from(vlans), st.sampled_from(vlans))
        denied = draw(st.lists(pairs, max_size=2))
        lines += [f"deny r{n} {one} {other}" for one, other in denied]
    for n in range(draw(st.integers(2, 8))):
        # The other addresses are ends of a network of four.
        lengths = [16, 24, 24, 24, 30] if n % 4 < 2 else [16, 24, 24, 24]
        address = f"10.0.{draw(st.integers(1, 2))}.{n + 1}"
        via = draw(st.sampled_from([*gateways * 2, "", "10.0.1.99", "10.0.1.1"]))
        gateway = f" via {via}" if via not in ("", address) else ""
        plug = f"s{draw(st.integers(1, count))}.{n + 1}"
        lines.append(f"host h{n} {address}/{draw(st.sampled_from(lengths))} {plug}{gateway}")
        lines.append(f"{draw(ports())} {plug}")
    return "\n".join(lines)
