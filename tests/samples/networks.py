"""What the tests of networks share: an independent implementation to compare with, and random topologies."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from hypothesis import assume
from hypothesis import strategies as st

from labkit.errors import LabError
from labkit.net.headers import dissect
from labkit.net.topology import Topology, parse


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


def refused(ask: Callable[[], object]) -> str:
    """The one line with which something is refused."""
    with pytest.raises(LabError) as error:
        ask()
    assert str(error.value).isprintable()
    return str(error.value)


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
    """A tree of one to four switches with up to eight hosts, as text; ``mismatch``: the ends of a link may differ."""
    count = draw(st.integers(1, 4))
    lines = [f"switch {' '.join(f's{n}' for n in range(1, count + 1))}"]
    for n in range(2, count + 1):
        one, other = f"s{draw(st.integers(1, n - 1))}.{20 + n}", f"s{n}.20"
        here = draw(ports(mismatch))
        there = draw(ports()) if mismatch and draw(st.booleans()) else here
        lines += [f"link {one} {other}", f"{here} {one}", f"{there} {other}"]
    gateways = list[str]()
    for n in range(draw(st.integers(0, routers))):
        ways = draw(st.lists(st.sampled_from(VLANS), min_size=1, unique=True))
        addresses = [
            f"10.0.{draw(st.integers(1, 2))}.{200 + 10 * n + at}" for at in range(len(ways))
        ]
        gateways += addresses
        plug = f"s{draw(st.integers(1, count))}.{18 + n}"
        lines.append(
            f"router r{n} {plug} "
            + " ".join(
                f"{vlan}:{address}/{draw(st.sampled_from([16, 24, 24, 24]))}"
                for vlan, address in zip(ways, addresses, strict=True)
            )
        )
        lines.append(f"{draw(st.one_of(st.just('trunk 1,10,20'), ports()))} {plug}")
        denied = draw(st.lists(st.tuples(st.sampled_from(ways), st.sampled_from(ways)), max_size=2))
        lines += [f"deny r{n} {one} {other}" for one, other in denied]
    for n in range(draw(st.integers(2, 8))):
        lengths = (
            [16, 24, 24, 24, 30] if n % 4 < 2 else [16, 24, 24, 24]
        )  # others are ends of a network of four
        address = f"10.0.{draw(st.integers(1, 2))}.{n + 1}/{draw(st.sampled_from(lengths))}"
        via = draw(st.sampled_from([*gateways * 2, "", "10.0.1.99", "10.0.1.1"]))
        plug = f"s{draw(st.integers(1, count))}.{n + 1}"
        gateway = f" via {via}" if via not in ("", address.partition("/")[0]) else ""
        lines += [f"host h{n} {address} {plug}{gateway}", f"{draw(ports())} {plug}"]
    return "\n".join(lines)
