"""A network for real: each host a container, the switches Open vSwitch in one more, tcpdump at all.

A network namespace cannot be made with CAP_NET_ADMIN alone (unshare(2) asks for CAP_SYS_ADMIN,
which is all but root of the machine), so Docker makes them: a container a host, all without any
network but these cables. They share the process IDs of the switches' container, which may therefore
lay cables into them, and all end when that one ends. Their rights are RIGHTS and /dev/net/tun,
nothing else. Nothing leaves them.
"""

from __future__ import annotations

import io
import re
import tarfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from labkit.commands import Result, run
from labkit.docker.client import find_thing
from labkit.docker.engine import Docker
from labkit.docker.images import Recipe, build
from labkit.engine import Heard
from labkit.errors import LabError
from labkit.messages import _
from labkit.net import cabling
from labkit.net.headers import summary, vlans
from labkit.net.network import crafted
from labkit.net.packets import captured
from labkit.net.topology import Host, Plug, Topology

T = TypeVar("T")
EYE = "/tmp/eye"  # where the captures are, a file a port
TUN = "/dev/net/tun"  # by which Open vSwitch moves frames outside the kernel
RIGHTS = [
    "NET_ADMIN",
    "NET_RAW",
    "SETGID",  # by this and the next two tcpdump and sshd give up others
    "SETUID",
    "SYS_CHROOT",
]
MOST = 24  # hosts and routers: each is a container
PATIENCE = 20  # seconds that tcpdump has to start
AT_ONCE = 8  # containers that are talked to
_SWITCHES = f"""
mkdir -p /run/openvswitch /etc/openvswitch {EYE}
ovsdb-tool create /etc/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server /etc/openvswitch/conf.db --remote=punix:/run/openvswitch/db.sock --detach --pidfile \
  --unixctl=/run/openvswitch/db.ctl
ovs-vsctl --no-wait init
exec ovs-vswitchd --pidfile
"""
# IPv6 talks unasked, which is another lesson.
_NO_IPV6 = {
    "net.ipv6.conf.all.disable_ipv6": "1",
    "net.ipv6.conf.default.disable_ipv6": "1",
}
# Linux answers ARP for all its addresses on any cable, and tells hosts of better ways; and what the
# machine thinks of packets from unlikely cables would be inherited.
_SYSCTLS = {
    "net.ipv4.conf.all.arp_ignore": "1",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.send_redirects": "0",
    "net.ipv4.conf.default.rp_filter": "0",
}
_EYES = (
    "exec 2>/tmp/said; "
    f"for p; do tcpdump -Z root -i $p --immediate-mode -U -w {EYE}/$p.pcap & done; wait"
)
_WATCH = (
    f"[ $(pgrep -fc '^tcpdump .* {EYE}/') -ge $1 ] || {{ grep -sv listening /tmp/said; exit 1; }}"
)
# Flows that Open vSwitch has cached would go on without learning.
_FORGET = "for s; do ovs-appctl fdb/flush $s || exit; done; ovs-appctl revalidator/purge"
# Send a frame as it is: packet(7). A struct sockaddr_ll needs only family and interface.
_SEND = (
    'socket(S, 17, 3, 0) or die $!; open F, "</sys/class/net/eth0/ifindex"; '
    'send(S, pack("H*", $ARGV[0]), 0, pack("SnlSCCa8", 17, 0, <F>, 0, 0, 0, "")) or die $!'
)
_HOST = "while :; do sleep 86400; done"


class Lab:
    """A topology in containers of an engine, for its lesson; ``recipe`` is that of their image."""

    def __init__(self, docker: Docker, topology: Topology, recipe: Recipe) -> None:
        self.docker, self.topology, self.recipe = docker, topology, recipe
        self.sysctls = {**_NO_IPV6, **_SYSCTLS}

    def name(self, device: str) -> str:
        """A device's container."""
        return f"lab{self.docker.lesson}-{device}"

    def up(self, heard: Heard = None) -> Result:
        """Bring it up, instead of what this lesson has up.

        Raises :class:`LabError`, and leaves nothing then.
        """
        self._check()
        self.down()
        runs = self.docker.runs(self.docker.keeps, heard)
        build(self.recipe, self.docker.client, runs)
        try:
            self._start()
            self._wire()
            self._each(cabling.addresses(self.topology), lambda job: self.inside(*job))
            self._watch_ports()
        except LabError as error:
            why = self._ended() or str(error)
            self.down()
            raise LabError(why) from None
        except BaseException:
            self.down()
            raise
        return Result(("net", "up"), 0, (("out", self._summary() + "\n"),))

    def _summary(self) -> str:
        topology = self.topology
        counts = {
            _("switches"): len(topology.switches),
            _("hosts"): len(topology.hosts),
            _("routers"): len(topology.routers),
        }
        devices = ", ".join(f"{what}: {count}" for what, count in counts.items() if count)
        return _("Up: {devices}.", devices=devices)

    def down(self) -> Result:
        """Remove the containers of this lesson's networks, as far as labkit made them.

        Raises :class:`LabError`.
        """
        noted = {entry[1] for entry in self.docker.ledger.entries(self.docker.lesson)}
        mine = {
            thing["name"]
            for thing in self.docker.client.world()["containers"]
            if thing["id"] in noted and thing["image"].startswith(f"{self.recipe.name}:")
        }
        if notes := self.docker.clean(0, mine) if mine else []:
            raise LabError(" ".join(notes))
        gone = _("{count} containers are gone.", count=len(mine))
        return Result(("net", "down"), 0, (("out", gone + "\n"),))

    @staticmethod
    def _each(things: Iterable[T], does: Callable[[T], object]) -> None:
        """Do the same with many things, some of them at once."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(does, things))

    # -- how it comes up ------------------------------------------------------------------------

    def _check(self) -> None:
        """Raise :class:`LabError` for too many devices, or one called like one of our own."""
        topology = self.topology
        count = len(topology.hosts) + len(topology.routers)
        if count > MOST:
            raise LabError(
                "{count} hosts and routers are too many for containers; up to {most} are fine.",
                count=count,
                most=MOST,
            )
        own = {"net", "lo", "ovs-netdev"}
        for name, router in topology.routers.items():
            own |= {f"{name}-{end}" for end in ("r", "in", *router.addresses)}
        for name in (*topology.switches, *topology.hosts, *topology.routers):
            if name in own:
                raise LabError(
                    "The live network has a {name} of its own: give that device another name.",
                    name=name,
                )

    def _start(self) -> None:
        net = self._container("net", ["sh", "-c", _SWITCHES])
        try:
            self.docker.start(net)
        except LabError as error:
            without_ipv6 = (
                "/proc/sys/net/ipv6" in str(error) and _NO_IPV6.items() <= self.sysctls.items()
            )
            if without_ipv6:  # such a kernel has nothing to switch off
                self.down()
                self.sysctls = dict(_SYSCTLS)
                return self._start()
            if TUN not in str(error):
                raise
            raise LabError(
                "The live network needs {device}, which the engine's machine lacks: `sudo "
                "modprobe tun` there, or use the recorded outputs.",
                device=TUN,
            ) from None
        devices = [*self.topology.hosts, *self.topology.routers]
        made = [
            self._container(device, ["sh", "-c", _HOST, device], pid_mode=f"container:{net}")
            for device in devices
        ]
        self._each(made, self.docker.start)

    def _container(self, device: str, command: Sequence[str], **options: Any) -> str:
        forward = {"net.ipv4.ip_forward": str(int(device in self.topology.routers))}
        return self.docker.create(
            self.name(device),
            self.recipe.tag,
            command,
            device,
            network_mode="none",
            devices=[TUN],
            cap_drop=["ALL"],
            cap_add=RIGHTS,
            security_opt=["no-new-privileges"],
            sysctls=self.sysctls | forward,
            **options,
        )

    def _wire(self) -> None:
        """Lay the cables, and plug them into the switches."""
        processes = self.inside("net", ["ps", "-eo", "pid,args"])
        found = re.findall(r"^\s*(\d+) sh -c while .* ([a-z][a-z0-9-]*)$", processes, re.M)
        laid = cabling.cables(self.topology, {name: pid for pid, name in found})
        self.inside("net", ["ip", "-batch", "-"], "\n".join(laid.ip) + "\n")
        ports = [*cabling.bridges(self.topology), *laid.ports]
        self.inside("net", ["ovs-vsctl", "--retry", "--timeout=20", *ports])

    def _watch_ports(self) -> None:
        """Have a tcpdump at every port."""
        ports = [str(plug) for plug in self.topology.cables if plug.port]
        argv = ["sh", "-c", _EYES, "eyes", *ports]
        self._run(["docker", "exec", "-d", self.name("net"), *argv], "net", argv)
        deadline = time.monotonic() + PATIENCE
        while len(self.captures()) < len(ports):
            if time.monotonic() > deadline:
                self._check_eyes()
                raise LabError(
                    "tcpdump does not start in the live network: run `%net up` again, on a "
                    "quieter machine."
                )
            time.sleep(0.05)

    def _check_eyes(self) -> None:
        """Raise :class:`LabError` if there is not a tcpdump at each port."""
        ports = sum(plug.port > 0 for plug in self.topology.cables)
        argv = ["sh", "-c", _WATCH, "watch", str(ports)]
        result = run(["docker", "exec", self.name("net"), *argv], timeout=60)
        if result.code:
            words = _last_line(result.out)
            raise LabError(
                "tcpdump is not running at each port of the live network; it said: "
                "{words:.200}. {advice}",
                words=words,
                advice=_advice(words),
            )

    # -- commands inside ------------------------------------------------------------------------

    def inside(self, device: str, argv: Sequence[str], stdin: str | None = None) -> str:
        """What a command says in a device's container.

        Raises :class:`LabError` with its own words if it fails.
        """
        options = [] if stdin is None else ["-i"]
        return self._run(
            ["docker", "exec", *options, self.name(device), *argv], device, argv, stdin
        )

    def _run(
        self, docker: list[str], device: str, argv: Sequence[str], stdin: str | None = None
    ) -> str:
        result = run(docker, stdin, timeout=60)
        if not result.code:
            return result.out
        if re.search("No such container|is not running|container has stopped", result.err):
            raise LabError(
                "The live network is not up, for {name} is not running: `%net up`, then this "
                "again.",
                name=self.name(device),
            )
        lines = result.text.strip().splitlines()  # `ip -batch` adds but a line's number
        spoken = [line for line in lines if not line.startswith("Command failed")]
        words = _last_line("\n".join(spoken))
        raise LabError(
            "The live network fails: `{command:.60}` in {name} says: {words:.200}. {advice}",
            command=" ".join(argv),
            name=self.name(device),
            words=words,
            advice=_advice(words),
        )

    def _ended(self) -> str:
        """Why the switches have ended; "" if they have not."""
        net = find_thing(self.docker.client.world()["containers"], self.name("net"))
        if not net or net["state"] != "exited":
            return ""
        if not self.docker.ownership.owns("containers", net):
            return ""
        logs = run(["docker", "logs", "--tail", "1", net["id"]], timeout=60)
        words = logs.text.strip() or _("nothing")
        return _(
            "Open vSwitch has ended in the live network; it said: {words:.200}. {advice}",
            words=words,
            advice=_advice(words),
        )

    # -- what is seen ---------------------------------------------------------------------------

    def captures(self) -> dict[Plug, list[bytes]]:
        """All frames seen at each switch's port, in order. Raises :class:`LabError`."""
        packed = io.BytesIO(self.docker.client.fetch(self.name("net"), EYE))
        frames: dict[Plug, list[bytes]] = {}
        with tarfile.open(fileobj=packed) as archive:
            for member in archive:
                data = archive.extractfile(member)
                device, _dot, port = Path(member.name).stem.rpartition(".")
                if data and port.isdigit() and member.size:  # else tcpdump is just about to begin
                    frames[Plug(device, int(port))] = captured(data.read())
        return frames

    def _settled(self) -> dict[Plug, list[bytes]]:
        """All frames seen, once no more come: tcpdump may be a moment behind."""
        last: dict[Plug, list[bytes]] = {}
        now = self.captures()
        while now != last:
            time.sleep(0.05)
            now, last = self.captures(), now
        return now

    def trial(self, start: str, target: str, *tags: str) -> Result:
        """An echo request, or with ``tags`` one frame with them, with nothing learned before it.

        What each port saw, a frame a line; exit code 0 if the echo was answered, or the frame was
        heard by the target. Raises :class:`LabError`.
        """
        topology = self.topology
        other = topology.host(target)
        self._forget()
        self._check_eyes()
        # A router reports what it gave up before.
        before = {plug: len(frames) for plug, frames in self._settled().items()}
        answered = self._ping(start, other) if not tags else False
        if tags:
            frame = crafted(topology, start, target, tags)
            self.inside(start, ["perl", "-e", _SEND, frame.hex()])
        seen = {plug: frames[before.get(plug, 0) :] for plug, frames in self._settled().items()}
        if tags:
            answered = any(_takes(other, frame) for frame in seen[other.plug])
        lines = [line for plug in sorted(seen) for line in frame_lines(plug, seen[plug], topology)]
        text = "".join(f"{line}\n" for line in lines)
        return Result(("net", start, target, *tags), int(not answered), (("out", text),))

    def _forget(self) -> None:
        """Nothing is learned any more, on hosts and switches."""
        topology = self.topology
        neighbours = ["ip", "neigh", "flush", "all"]
        self._each(
            [*topology.hosts, *topology.routers], lambda device: self.inside(device, neighbours)
        )
        switches = [*topology.switches, *(f"{name}-r" for name in topology.routers)]
        self.inside("net", ["sh", "-c", _FORGET, "forget", *switches])

    def _ping(self, start: str, target: Host) -> bool:
        argv = ["ping", "-n", "-c", "1", "-W", "1", str(target.address.ip)]
        return not run(["docker", "exec", self.name(start), *argv], timeout=30).code


def _takes(host: Host, frame: bytes) -> bool:
    """Whether a host takes a frame on its cable: to its MAC, and in no VLAN, for it knows none."""
    return frame[:6] == host.mac and vlans(frame) in ((), (0,))


def frame_lines(plug: Plug, frames: Sequence[bytes], topology: Topology) -> list[str]:
    """Frames at a port, one a line: the port, the tags, what it is."""
    names = topology.names()
    return [
        f"{plug!s:<6} {','.join(map(str, vlans(frame))) or '-':<5} {summary(frame, names)}"
        for frame in frames
    ]


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else _("nothing")


def _advice(words: str) -> str:
    if "not permitted" in words:
        return _(
            "This engine gives containers no NET_ADMIN (a rootless one, perhaps): use the recorded "
            "outputs."
        )
    return _("Run `%net up` again; if it stays so, use the recorded outputs.")
