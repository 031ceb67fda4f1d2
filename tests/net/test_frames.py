"""Frames made by hand are what scapy would make."""

from __future__ import annotations

import pytest
from labkit.net.frames import EXPERIMENT, NOTHING, broadcast, crafted
from samples.errors import refused
from samples.networks import TWO, scapy

from labkit.net.statements import parse

ANA, BEN = "02:00:00:00:00:01", "02:00:00:00:00:02"
MADE = parse(TWO)


@pytest.mark.live("scapy")
@pytest.mark.parametrize("tags", [[], ["0"], ["20"], ["1", "20"], ["4095", "0", "7"]])
def test_a_frame_has_its_tags_the_outer_one_first(tags: list[str]) -> None:
    layers = scapy()
    wanted = layers.Ether(dst=BEN, src=ANA)
    for tag in tags:
        wanted /= layers.Dot1Q(vlan=int(tag))
    wanted.lastlayer().type = EXPERIMENT
    assert crafted(MADE, "ana", "ben", tags) == bytes(wanted / NOTHING)
    wanted = layers.Ether(dst="ff:ff:ff:ff:ff:ff", src=ANA, type=EXPERIMENT) / NOTHING
    assert broadcast(MADE, "ana") == bytes(wanted)


def test_who_is_no_host_sends_and_gets_nothing() -> None:
    for ask, *words in ((crafted, "x", "ana", []), (crafted, "ana", "x", []), (broadcast, "x")):
        assert "There is no host 'x'; there are: ana, ben" in refused(ask, MADE, *words)
    assert "A tag is a number from 0 to 4095" in refused(crafted, MADE, "ana", "ben", ["4096"])
