"""Panels over networks without a browser: choose, press, read; the lesson keeps its network."""

from __future__ import annotations

import random
import re
from typing import Any

import ipywidgets as w
import pytest
from conftest import Notebook
from samples.errors import refused
from samples.lessons import beside
from samples.networks import console
from samples.pages import Page, named, text, the

from labkit.net.headers import summary
from labkit.net.reach import Reach
from labkit.net.statements import changed, parse
from labkit.net.topology import Topology

panels = beside("02", "panels")
NetPanel, StepsPanel, MOST = panels.NetPanel, panels.StepsPanel, panels.MOST
SCHOOL = """\
switch s1 s2
host ana 10.0.0.1/24 s1.1
host ben 10.0.0.2/24 s2.1
host eva 10.0.0.3/24 s1.2
host max 10.0.0.4/24 s2.9
link s1.24 s2.24
access 10 s1.1 s2.1
access 20 s1.2
trunk 10,20 s1.24 s2.24
trunk 10,20 s2.9
"""


def view(panel: w.Widget) -> str:
    """What a panel shows: HTML that ends what it begins, and never a traceback."""
    html: str = the(w.HTML, panel)[-1].value
    Page(html)
    assert "Traceback" not in html and "<script" not in html
    return html


def matrix(html: str) -> dict[str, dict[str, str]]:
    """The table of who reaches whom, read back."""
    rows = [
        [text(cell) for cell in re.findall("<t[hd].*?</t[hd]>", row)]
        for row in re.findall("<tr>.*?</tr>", html, re.S)
    ]
    return {
        row[0]: dict(zip(rows[0][1:], row[1:], strict=True))
        for row in rows[1:]
        if len(row) == len(rows[0])
    }


def expected(topology: Topology) -> dict[str, dict[str, str]]:
    reach = Reach(topology)
    return {
        one: {
            other: "·" if one == other else "✘ no" if reach.why_not(one, other) else "✔ yes"
            for other in topology.hosts
        }
        for one in topology.hosts
    }


def choices(panel: w.Widget) -> dict[str, Any]:
    return {found.description: found for found in the(w.Dropdown, panel)}


# -- ports and VLANs ----------------------------------------------------------------------------


def test_a_vlan_chosen_is_seen_at_once_and_the_lesson_keeps_its_own() -> None:
    here = console(SCHOOL, "ping ana ben")
    was, steps, start = str(here.topology), [*here.steps], here.topology
    panel = NetPanel(here)
    picks = choices(panel)
    assert {name: pick.value for name, pick in picks.items()} == {
        "ana": 10,
        "ben": 10,
        "eva": 20,
    }  # max has a trunk
    assert [label for label, _ in picks["ana"].options] == ["VLAN 1", "VLAN 10", "VLAN 20"]
    assert matrix(view(panel)) == expected(start)
    before = view(panel)
    picks["eva"].value = 10
    after = changed(start, "access 10 s1.2")
    assert matrix(view(panel)) == expected(after) and matrix(view(panel))["ana"]["eva"] == "✔ yes"
    assert "s1.2: access 10" in view(panel) and "s1.2: access 20" not in view(panel)
    named(panel, "As it was").click()
    assert view(panel) == before and picks["eva"].value == 20
    assert (str(here.topology), here.steps) == (was, steps)


def test_any_choices_are_drawn_as_they_are() -> None:
    panel, start, dice = NetPanel(console(SCHOOL)), parse(SCHOOL), random.Random(3)
    for _ in range(25):
        for name, pick in choices(panel).items():
            pick.value = dice.choice([1, 10, 20])
            start = changed(start, f"access {pick.value} {start.host(name).plug}")
        assert matrix(view(panel)) == expected(start)


def test_a_no_has_its_reason_below_and_under_the_cursor() -> None:
    html = panels.matrix_html(parse(SCHOOL))
    why = Reach(parse(SCHOOL)).why_not("ana", "eva")
    assert why and f"ana → eva: {why}" in text(html) and f'title="{why}"' in html


def test_of_many_hosts_some_are_shown() -> None:
    made = parse(
        "switch s\n"
        + "\n".join(f"host h{n} 10.0.0.{n}/24 s.{n}\naccess {n} s.{n}" for n in range(1, 41))
    )
    html = panels.matrix_html(made)
    assert [*matrix(html)] == [f"h{n}" for n in range(1, MOST + 1)]
    assert f"… and {MOST * (MOST - 1) // 2 - 8} more" in html
    panel = NetPanel(console(str(made)))
    assert len(choices(panel)) == MOST
    choices(panel)["h1"].value = 2
    assert matrix(view(panel))["h1"]["h2"] == "✔ yes"


def test_a_panel_has_a_text_for_readers_without_widgets() -> None:
    panel = NetPanel(console(SCHOOL))
    assert panel._repr_mimebundle_()["text/plain"] == (
        f"Ports and VLANs (needs JupyterLab): ana, ben, eva\n{Reach(parse(SCHOOL))}"
    )


@pytest.mark.parametrize(
    "panel, topology, said",
    [
        (NetPanel, "", "There is no network yet"),
        (StepsPanel, "", "There is no network yet"),
        (StepsPanel, SCHOOL, "No frame has been sent yet: `%net ping HOST HOST`, then this."),
        (NetPanel, "switch s", "No host of this network is on an access port"),
        (
            NetPanel,
            "switch s\nhost a 10.0.0.1/24 s.1\ntrunk 1 s.1",
            "No host of this network is on an access port",
        ),
    ],
)
def test_a_panel_over_nothing_is_one_line(panel: Any, topology: str, said: str) -> None:
    assert refused(panel, console(topology)).startswith(said)


# -- step by step -------------------------------------------------------------------------------


def test_steps_go_on_and_back_and_no_further() -> None:
    here = console(SCHOOL, "ping ana ben")
    steps, names, panel = here.steps, here.topology.names(), StepsPanel(here)
    (slider,) = the(w.IntSlider, panel)
    assert (slider.min, slider.max, slider.value) == (1, len(steps), 1)
    seen = list[str]()
    for at, step in enumerate(steps, 1):
        assert slider.value == at
        html = text(view(panel))
        assert f"{step.start} → {step.end}" in html and summary(step.frame, names=names) in html
        assert re.findall(r"frame (\d+):", html) == [
            str(at)
        ]  # the picture shows this one and no other
        assert step.frame[:4].hex() in html
        seen.append(html)
        named(panel, "Next").click()
    assert (
        slider.value == len(steps) and text(view(panel)) == seen[-1] and len({*seen}) == len(steps)
    )
    for html in reversed(seen[:-1]):
        named(panel, "Back").click()
        assert text(view(panel)) == html
    named(panel, "Back").click()
    assert slider.value == 1 and text(view(panel)) == seen[0]
    slider.value = 3
    assert text(view(panel)) == seen[2]


def test_steps_are_of_the_journey_there_was() -> None:
    here = console(SCHOOL, "ping ana ben")
    panel = StepsPanel(here)
    before = view(panel)
    for command in ("access 20 s1.1", "broadcast eva"):
        here.do(command.split())
    named(panel, "Next").click()
    named(panel, "Back").click()
    assert view(panel) == before


def test_steps_can_be_read_without_widgets() -> None:
    here = console(SCHOOL, "ping ana ben")
    lines = StepsPanel(here)._repr_mimebundle_()["text/plain"].splitlines()
    assert lines[0] == f"Step by step (needs JupyterLab), {len(here.steps)} steps:"
    assert len(lines) == len(here.steps) + 1


def test_one_step_is_a_journey_too() -> None:
    panel = StepsPanel(console("switch s\nhost a 10.0.0.1/24 s.1", "broadcast a"))
    for name in ("Next", "Back", "Next"):
        named(panel, name).click()
    assert "frame 1: a → s.1" in view(panel)


def test_every_control_has_a_name() -> None:
    for panel in (NetPanel(console(SCHOOL)), StepsPanel(console(SCHOOL, "ping ana ben"))):
        for kind in (w.Button, w.Dropdown, w.IntSlider, w.Text):
            assert all(control.description for control in the(kind, panel))


# -- in a notebook ------------------------------------------------------------------------------


def test_before_there_is_a_network_a_magic_is_one_line(replay: Notebook) -> None:
    replay.run("%load_ext labkit\n%lesson 02")
    for magic in ("%net_panel", "%net_steps"):
        assert replay.run(magic).startswith("? There is no network yet")
    replay.run("%net open flat\n%net ping pc1 pc2")
    assert "Ports and VLANs (needs JupyterLab)" in replay.run("%net_panel")
    assert "Step by step (needs JupyterLab)" in replay.run("%net_steps")
