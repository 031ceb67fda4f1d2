"""The console of a lesson's network: each command as typed after ``%net``, on the network in this process.

%net open school                 the network in the lesson's file school.net
%net access 20 s1.3              a port's VLAN (also `trunk 10,20 native 1 s1.24`, `deny r 10 20`)
%net ping ana eva                send an echo request, and follow every frame
%net send mallory eva 1 20       one frame to eva's MAC, with these tags
%net broadcast ana               one frame to all
%net table s1                    what a switch has learned
%net reach [ana eva]             who reaches whom, and why not
%net bytes 3                     a frame of the last journey, byte by byte
%net wait 300, %net forget       let seconds pass; forget all that was learned
%net show                        the topology
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

from labkit.errors import LabError
from labkit.net import packets, picture
from labkit.net.diagram import TopologyDiagram
from labkit.net.network import Network, Step
from labkit.net.reach import Reach
from labkit.net.statements import CHANGES, changed, parse
from labkit.net.topology import Topology
from labkit.show.figure import Figure
from labkit.show.output import pre
from labkit.words import number

LIVE = ("up", "compare", "down")  # commands of the live twin, which a lesson runs
MODEL = "model · real frames, in this notebook's own process"  # the badge
NOTHING = b"nothing but a frame to see where it goes"
EXPERIMENT = 0x88B5  # an EtherType for experiments: IEEE 802-2014, 9.2.4


def crafted(made: Topology, start: str, target: str, tags: Sequence[str]) -> bytes:
    """A frame from one host to another's MAC, with tags as typed, the outer one first. Raises :class:`LabError`."""
    said = "A tag is a number from 0 to 4095, the outer one first: `%net send mallory eva 1 20`."
    numbers, one, other = (
        [number(tag, 0, 4095, said) for tag in tags],
        made.host(start),
        made.host(target),
    )
    return packets.ethernet(other.mac, one.mac, EXPERIMENT, NOTHING, numbers)


class Answer(Figure):
    """What a command shows: figures in a column. ``ok``: False for a ping without reply."""

    def __init__(self, *figures: Figure, ok: bool = True) -> None:
        self.figures, self.ok = figures, ok

    def __str__(self) -> str:
        return "\n".join(filter(None, map(str, self.figures)))

    def html(self) -> str:
        """All of it as HTML."""
        return "".join(figure.html() for figure in self.figures)


class Text(Figure):
    """A figure that is plain text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def html(self) -> str:
        """The same, where lines that are too long fold."""
        return pre(self.text, fold=True)


class Console:
    """One network and the last journey on it; ``network`` is None until :meth:`load`. ``folder``: for `open`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network: Network | None = None
        self.steps: list[Step] = []

    @property
    def now(self) -> Network:
        """The network. Raises :class:`LabError` if there is none yet."""
        if not self.network:
            raise LabError(
                "There is no network yet: run the `%%net` cell that describes one, then this one."
            )
        return self.network

    @property
    def topology(self) -> Topology:
        """What the network is made of. Raises :class:`LabError`."""
        return self.now.topology

    def load(self, text: str) -> Answer:
        """Build the network that a text describes. Raises :class:`LabError`."""
        self.network, self.steps = Network(parse(text)), []
        return Answer(TopologyDiagram(self.topology))

    def do(self, words: Sequence[str]) -> Answer:
        """Run one command. Raises :class:`LabError` for one that is none."""
        name, rest = (words[0] if words else "show"), list(words[1:])
        if name in CHANGES:
            self.now.change(changed(self.topology, " ".join(words)))
            return Answer(TopologyDiagram(self.topology))
        if name not in _COMMANDS:
            raise LabError(
                f"{name!r:.30} is no command of the network; there are: "
                f"{', '.join([*CHANGES, *_COMMANDS])}."
            )
        does, usage, counts = _COMMANDS[name]
        if len(rest) not in counts:
            raise LabError(f"Use it as `%net {f'{name} {usage}'.rstrip()}`.")
        return does(self, rest)

    # -- for tasks: like the engines, a console can be marked, and cleaned back to the mark -----

    def mark(self, lesson: str) -> Any:
        """Network and journey as they are now, for :meth:`clean`."""
        return copy.deepcopy((self.network, self.steps))

    def clean(self, lesson: str, mark: Any, names: Container[str] | None = None) -> list[str]:
        """Back to where they were; not for a student (with ``names``), who may have gone on in the lesson."""
        if names is None:
            self.network, self.steps = copy.deepcopy(mark)
        return []

    def _open(self, words: list[str]) -> Answer:
        known = sorted(path.stem for path in self.folder.glob("*.net"))
        if words[0] not in known:
            raise LabError(
                f"This lesson has no network {words[0]!r:.40}; it has: {', '.join(known) or 'none'}."
            )
        return self.load((self.folder / f"{words[0]}.net").read_text("utf-8"))

    # -- commands -------------------------------------------------------------------------------

    def _way(self, said: str, ok: bool = True) -> Answer:
        names = self.topology.names()
        return Answer(
            Text(said),
            TopologyDiagram(self.topology, self.steps),
            picture.Journey(self.steps, names),
            ok=ok,
        )

    def _ping(self, words: list[str]) -> Answer:
        ok, self.steps = self.now.ping(words[0], words[1])
        why = (
            Reach(self.topology).why_not(words[0], words[1])
            if words[1] in self.topology.hosts and not ok
            else ""
        )
        said = f"{words[1]} answers {words[0]}." if ok else f"No reply{': ' + why if why else ''}."
        return self._way(said, ok)

    def _send(self, words: list[str]) -> Answer:
        self.steps = self.now.send(words[0], crafted(self.topology, words[0], words[1], words[2:]))
        got = sorted({step.end.device for step in self.steps if step.taken})
        return self._way(f"Heard by {', '.join(got) or 'nobody'}.", words[1] in got)

    def _broadcast(self, words: list[str]) -> Answer:
        host = self.topology.host(words[0])
        self.steps = self.now.send(
            host.name, packets.ethernet(packets.BROADCAST, host.mac, EXPERIMENT, NOTHING)
        )
        got = [step.end.device for step in self.steps if step.end.device in self.topology.hosts]
        others = len(self.topology.hosts) - 1
        return self._way(
            f"{len(got)} of {others} other hosts had to look at it: {', '.join(sorted(got)) or 'none'}."
        )

    def _table(self, words: list[str]) -> Answer:
        names = self.topology.names()
        rows = [f"{'VLAN':>4}  {'MAC':<17}  {'port':>4}  {'age':>5}  whose"]
        rows += [
            f"{vlan:>4}  {mac}  {port:>4}  {age:>3.0f} s  {names.get(mac, '')}"
            for vlan, mac, port, age in self.now.mac_table(words[0])
        ]
        return Answer(Text("\n".join(rows if len(rows) > 1 else ["(nothing learned)"])))

    def _reach(self, words: list[str]) -> Answer:
        reach = Reach(self.topology)
        if len(words) == 2:
            why = reach.why_not(*words)
            return Answer(
                Text(f"no: {why}" if why else f"yes, {words[0]} reaches {words[1]}"), ok=not why
            )
        return Answer(Text(str(reach)))

    def _bytes(self, words: list[str]) -> Answer:
        most = len(self.steps) if self.now else 0
        at = number(
            words[0],
            1,
            most,
            f"The last journey has {most} steps, counted from 1: `%net ping` makes one, "
            "`%net bytes 1` shows its first frame.",
        )
        step = self.steps[at - 1]
        return Answer(picture.Bytes(step.frame, f"step {at}, {step.start} → {step.end}"))

    def _wait(self, words: list[str]) -> Answer:
        seconds = number(words[0], 0, 10**6, "Say how many seconds: `%net wait 300`.")
        self.now.wait(float(seconds))
        known = sum(map(len, self.now.tables.values()))
        return Answer(Text(f"{seconds} s later the switches remember {known} addresses."))

    def _forget(self, words: list[str]) -> Answer:
        self.now.forget()
        return Answer(Text("Nothing is learned any more."))

    def _show(self, words: list[str]) -> Answer:
        return Answer(TopologyDiagram(self.topology))


# Command → what does it, what follows it, and how many words that may be.
_COMMANDS: dict[str, tuple[Callable[[Console, list[str]], Answer], str, Container[int]]] = {
    "open": (Console._open, "NAME", {1}),
    "ping": (Console._ping, "HOST HOST", {2}),
    "send": (Console._send, "HOST HOST [TAG …]", range(2, 7)),
    "broadcast": (Console._broadcast, "HOST", {1}),
    "table": (Console._table, "SWITCH", {1}),
    "reach": (Console._reach, "[HOST HOST]", {0, 2}),
    "bytes": (Console._bytes, "STEP", {1}),
    "wait": (Console._wait, "SECONDS", {1}),
    "forget": (Console._forget, "", {0}),
    "show": (Console._show, "", {0}),
}
