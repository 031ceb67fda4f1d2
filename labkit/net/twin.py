"""The live twin of a network in this process: ``%net up``, ``%net compare``, ``%net down``.

It runs on Docker, so what it answers is recorded, and replayed where there is no engine.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from labkit.commands import Result
from labkit.docker.images import Recipe
from labkit.engine import Command, Heard, Session
from labkit.errors import LabError
from labkit.messages import N_, _
from labkit.net.live import LiveNetwork, frame_lines
from labkit.net.network import Network, Step, crafted, steps_at
from labkit.net.picture import Answer
from labkit.net.topology import Topology

COMMANDS = "up", "compare", "down"
_MOST_WORDS = 6  # two hosts and four tags


def do(session: Session, topology: Topology, name: str, words: list[str], heard: Heard) -> Answer:
    """Run one of COMMANDS for a lesson. Raises :class:`LabError`."""
    if not (2 <= len(words) <= _MOST_WORDS if name == "compare" else not words):
        raise LabError("Use it as `%net up`, `%net compare HOST HOST [TAG …]` or `%net down`.")
    for host in words[:2]:
        topology.host(host)
    session.requires("docker")
    typed = ("net", name, *words)
    command = Command(typed, typed, "none" if name == "compare" else "unseen")

    def live() -> Result:
        recipe = Recipe(session.name, session.folder / "images" / "net")
        lab = LiveNetwork(session.engine("docker"), topology, recipe)
        if name == "compare":
            return lab.trial(*words)
        text = lab.up(heard) if name == "up" else lab.down()
        return Result(typed, 0, (("out", f"{text}\n"),))

    result = session.taped(command, str(topology), live)
    if name == "compare":
        return compared(topology, words, result)
    return Answer(result.text.rstrip())


def expected(topology: Topology, steps: Sequence[Step]) -> list[str]:
    """What the model says each switch's port should see, to be compared with the captures."""
    return [
        line
        for plug in sorted(topology.switch_ports())
        for line in frame_lines(plug, [step.frame for step in steps_at(steps, plug)], topology)
    ]


def compared(topology: Topology, words: Sequence[str], live: Result) -> Answer:
    """What the model says of a :meth:`LiveNetwork.trial` beside what the captures say."""
    start, target, *tags = words
    network = Network(topology)
    if tags:
        steps = network.send(start, crafted(topology, start, target, tags))
        ok = any(step.taken and step.end.device == target for step in steps)
        message = N_("It arrives: live {live}, model {model}.")
    else:
        ok, steps = network.ping(start, target)
        message = N_("It is answered: live {live}, model {model}.")
    outcome = _(message, live=_yes(not live.code), model=_yes(ok))
    wanted, seen = expected(topology, steps), live.out.split("\n")[:-1]
    if wanted == seen and ok == (not live.code):
        same = _("The same {count} frames at the same ports, in the same order:", count=len(seen))
        return Answer("\n".join([outcome, same, *seen]))
    differ = _(
        "They differ; if a port has changed since, run `%net up` again. (- only in the model, + "
        "only live)"
    )
    changes = [line for line in difflib.ndiff(wanted, seen) if not line.startswith("?")]
    return Answer("\n".join([outcome, differ, *changes]), ok=False)


def _yes(truth: bool) -> str:
    return _("yes") if truth else _("no")
