"""The console of a lesson's network: each command as typed after ``%net``.

It works on the network in this process, but for three commands of its live twin in containers.

%net open school                 the network in the lesson's file school.net
%net access 20 s1.3              a port's VLAN (`trunk 10,20 native 1 s1.24`, `deny r 10 20`)
%net ping ana eva                send an echo request, and follow every frame
%net send mallory eva 1 20       one frame to eva's MAC, with these tags
%net broadcast ana               one frame to all
%net table s1                    what a switch has learned
%net reach [ana eva]             who reaches whom, and why not
%net bytes 3                     a frame of the last journey, byte by byte
%net wait 300, %net forget       let seconds pass; forget all that was learned
%net show                        the topology
%net up, %net down               bring the same network up in containers; remove them
%net compare ana eva             what the model says beside what the containers say
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from labkit.commands import Result
from labkit.engine import Command, Engine, Heard, Session
from labkit.errors import LabError
from labkit.messages import N_, _
from labkit.net import picture, twin
from labkit.net.diagram import TopologyDiagram
from labkit.net.network import Network, Step, crafted
from labkit.net.picture import Answer
from labkit.net.reach import Reach
from labkit.net.statements import CHANGES, changed, parse
from labkit.net.topology import Topology, listed
from labkit.words import number

MODEL = N_("model · real frames, in this notebook's own process")  # the badge


class Console(Engine):
    """One network and the last journey on it; ``network`` is None until :meth:`load`."""

    programs: ClassVar[Mapping[str, str]] = {"net": ""}
    modelled = True
    undoes = True

    def __init__(self, session: Session) -> None:
        self.session = session
        self.network: Network | None = None
        self.steps: list[Step] = []

    @classmethod
    def open(cls, session: Session, programs: Sequence[str]) -> Self:
        return cls(session)

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Command:
        return Command(tuple(argv), tuple(argv), slow=argv[1:2] == ["up"])

    def run(self, command: Command, stdin: str | None, heard: Heard) -> Result:
        answer = self.do(command.argv[1:], heard)
        return Result(command.argv, int(not answer.ok), (("out", f"{answer}\n"),))

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
        return self._show()

    def do(self, words: Sequence[str], heard: Heard = None) -> Answer:
        """Run one command. Raises :class:`LabError` for one that is none."""
        name, *rest = words or ["show"]
        if name in CHANGES:
            self.now.change(changed(self.topology, " ".join(words)))
            return self._show()
        if name in twin.COMMANDS:
            return twin.do(self.session, self.topology, name, rest, heard)
        if name not in _COMMANDS:
            raise LabError(
                "{name!r:.30} is no command of the network; there are: {known}.",
                name=name,
                known=", ".join([*CHANGES, *_COMMANDS]),
            )
        does, usage, counts = _COMMANDS[name]
        if len(rest) not in counts:
            raise LabError("Use it as `{usage}`.", usage=f"%net {name} {usage}".rstrip())
        return does(self, *rest)

    # -- for tasks ------------------------------------------------------------------------------

    def mark(self) -> Any:
        return copy.deepcopy((self.network, self.steps))

    def clean(self, since: Any = None, names: Container[str] | None = None) -> list[str]:
        """Back to where it was; not for a student (with ``names``), who may have gone on."""
        if names is None:
            self.network, self.steps = copy.deepcopy(since) if since else (None, [])
        return []

    @contextmanager
    def undone(self) -> Iterator[None]:
        before = self.mark()
        yield
        self.clean(before)

    # -- commands -------------------------------------------------------------------------------

    def _open(self, name: str) -> Answer:
        files = {path.stem: path for path in sorted(self.session.folder.glob("*.net"))}
        if name not in files:
            raise LabError(
                "This lesson has no network {name!r:.40}; it has: {known}.",
                name=name,
                known=listed(files),
            )
        return self.load(files[name].read_text("utf-8"))

    def _show(self) -> Answer:
        return Answer(TopologyDiagram(self.topology))

    def _way(self, text: str, ok: bool = True) -> Answer:
        """Where the frames of the last journey went."""
        way = TopologyDiagram(self.topology, self.steps)
        return Answer(text, way, picture.Journey(self.steps, self.topology.names()), ok=ok)

    def _ping(self, start: str, target: str) -> Answer:
        ok, self.steps = self.now.ping(start, target)
        if ok:
            return self._way(_("{target} answers {start}.", target=target, start=start))
        why = ""
        if target in self.topology.hosts:
            why = Reach(self.topology).why_not(start, target)
        return self._way(_("No reply: {why}.", why=why) if why else _("No reply."), ok=False)

    def _send(self, start: str, target: str, *tags: str) -> Answer:
        self.steps = self.now.send(start, crafted(self.topology, start, target, tags))
        heard = sorted({step.end.device for step in self.steps if step.taken})
        names = ", ".join(heard) or _("nobody")
        return self._way(_("Heard by {names}.", names=names), target in heard)

    def _broadcast(self, start: str) -> Answer:
        self.steps = self.now.send(start, crafted(self.topology, start))
        hosts = self.topology.hosts
        reached = sorted(step.end.device for step in self.steps if step.end.device in hosts)
        text = _(
            "{reached} of {others} other hosts had to look at it: {names}.",
            reached=len(reached),
            others=len(hosts) - 1,
            names=", ".join(reached) or _("none"),
        )
        return self._way(text)

    def _table(self, switch: str) -> Answer:
        names = self.topology.names()
        learned = [
            f"{vlan:>4}  {mac}  {port:>4}  {age:>3.0f} s  {names.get(mac, '')}"
            for vlan, mac, port, age in self.now.mac_table(switch)
        ]
        if not learned:
            return Answer(_("(nothing learned)"))
        columns = _("VLAN"), _("MAC"), _("port"), _("age"), _("whose")
        head = "{:>4}  {:<17}  {:>4}  {:>5}  {}".format(*columns)
        return Answer("\n".join([head, *learned]))

    def _reach(self, *hosts: str) -> Answer:
        reach = Reach(self.topology)
        if not hosts:
            return Answer(str(reach))
        start, target = hosts
        if why := reach.why_not(start, target):
            return Answer(_("no: {why}", why=why), ok=False)
        return Answer(_("yes, {start} reaches {target}", start=start, target=target))

    def _bytes(self, word: str) -> Answer:
        most = len(self.steps) if self.now else 0
        usage = _(
            "The last journey has {most} steps, counted from 1: `%net ping` makes one, "
            "`%net bytes 1` shows its first frame.",
            most=most,
        )
        place = number(word, 1, most, usage)
        step = self.steps[place - 1]
        title = _("step {number}, {start} → {end}", number=place, start=step.start, end=step.end)
        return Answer(picture.Bytes(step.frame, title))

    def _wait(self, word: str) -> Answer:
        seconds = number(word, 0, 10**6, _("Say how many seconds: `%net wait 300`."))
        self.now.wait(seconds)
        text = _(
            "{seconds} s later the switches remember {known} addresses.",
            seconds=seconds,
            known=sum(len(switch.table) for switch in self.now.switches.values()),
        )
        return Answer(text)

    def _forget(self) -> Answer:
        self.now.forget()
        return Answer(_("Nothing is learned any more."))


# What does a command, what follows its name, and how many words that may be.
_COMMANDS: dict[str, tuple[Callable[..., Answer], str, Container[int]]] = {
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

ENGINE = Console
