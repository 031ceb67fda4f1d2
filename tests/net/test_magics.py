"""The magics of networks and tunnels: what is typed, right and wrong."""

from __future__ import annotations

import pytest
from conftest import Notebook
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORDS = """switch host router link access trunk deny name s1 s2 s1.1 s1.2 s2.1 r pc1 10.0.0.1/24
10.0.0.2/24 10.0.0.1 via native 10 20 10,20 1-4094 10:10.0.0.9/24 # 0x0000: ffff 0800 8100 4500 45
f ² é <b> %net"""
ODD = ["\n", "\n", "\n", "\0", "\u2028", "9" * 5000]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["net", "bytes"]),
    st.sampled_from(["", "ip", " ip ", "ipv6", "'", "| x", "\0", "up"]),
    st.one_of(
        st.text(max_size=200),
        st.binary(max_size=200).map(bytes.hex),
        st.lists(st.sampled_from([*WORDS.split(), *ODD]), max_size=40).map(" ".join),
    ),
)
def test_no_body_whatever_shows_a_traceback(
    replay: Notebook, magic: str, line: str, body: str
) -> None:
    if "LabMagics" not in replay.shell.magics_manager.registry:
        replay.until("02", "%net down")  # once in all examples
    replay.shows_no_traceback(magic, line, f"{body}\n")


@pytest.mark.parametrize(
    "cell, said",
    [
        ("%%net ping pc1 pc2\nswitch s", "the network in the lines below"),
        ("%%net\nswich s", "Line 1: 'swich' is no"),
        ("%%bytes frame\n00", "Use it as `%%bytes` for a frame"),
        ("%%bytes\nzz", "That is no frame in hex"),
        ("%net ping pc1 pc9", "'pc9' is no host here"),
        ("%net compare", "Use it as `%net up`, `%net compare HOST HOST"),
        ("%net up now", "Use it as `%net up`"),
    ],
)
def test_a_mistake_is_one_line(replay: Notebook, cell: str, said: str) -> None:
    replay.run("%load_ext labkit\n%lesson 02")
    replay.run("%%net\nswitch s\nhost pc1 10.0.0.1/24 s.1")
    text = replay.run(cell)
    assert said in text and "\n" not in text
    assert text.startswith("? ")
    assert "pc1" in replay.run("%net")


def test_a_lesson_without_a_network(replay: Notebook) -> None:
    replay.run("%load_ext labkit\n%lesson 12")
    without = "? This lesson works without net; its commands are: docker."
    for cell in ("%net show", "%%net\nswitch s"):
        assert replay.run(cell) == without
    assert "works without net" in replay.run("%net up")
