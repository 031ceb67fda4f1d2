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
from labkit.docker.engine import Docker
from labkit.docker.images import Recipe, build
from labkit.engine import Heard
from labkit.errors import LabError
from labkit.messages import _
from labkit.net import cabling
from labkit.net.headers import summary, vlans
from labkit.net.network import crafted
from labkit.net.packets import captured
from labkit.net.topology import Host, Plug, Router, Topology

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
# IPv6 sends frames of its own, which would stand among the lesson's.
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
_WATCH = f"[ $(pgrep -fc '^tcpdump .* {EYE}/') -ge $1 ] || grep -sv listening /tmp/said || echo"
# Flows that Open vSwitch has cached would go on without learning.
_FORGET = "for s; do ovs-appctl fdb/flush $s || exit; done; ovs-appctl revalidator/purge"
# Send a frame as it is: packet(7). A struct sockaddr_ll needs only family and interface.
_SEND = (
    'socket(S, 17, 3, 0) or die $!; open F, "</sys/class/net/eth0/ifindex"; '
    'send(S, pack("H*", $ARGV[0]), 0, pack("SnlSCCa8", 17, 0, <F>, 0, 0, 0, "")) or die $!'
)
_HOST = "while :; do sleep 86400; done"


class LiveNetwork:
    """A topology in containers of an engine, for its lesson; ``recipe`` is that of their image."""

    def __init__(self, docker: Docker, topology: Topology, recipe: Recipe) -> None:
        self.docker, self.topology, self.recipe = docker, topology, recipe
        self._no_ipv6 = _NO_IPV6
        self._switches = ""  # the ID of their container

    def name(self, device: str) -> str:
        """A device's container."""
        return f"lab{self.docker.lesson}-{device}"

    def up(self, heard: Heard = None) -> str:
        """Bring it up, instead of what this lesson has up; tell what that is.

        Raises :class:`LabError`, and leaves nothing then.
        """
        self._check()
        self.down()
        runs = self.docker.runs(self.docker.keeps, heard)
        build(self.recipe, self.docker.client, runs)
        try:
            self._start()
            self._wire()
            self._each(self.topology.stations, self._address)
            self._watch_ports()
        except LabError as error:
            why = self._ended() or str(error)
            self.down()
            raise LabError(why) from None
        except BaseException:
            self.down()
            raise
        devices = {
            _("switches"): self.topology.switches,
            _("hosts"): self.topology.hosts,
            _("routers"): self.topology.routers,
        }
        counts = ", ".join(f"{what}: {len(names)}" for what, names in devices.items() if names)
        return _("Up: {devices}.", devices=counts)

    def down(self) -> str:
        """Remove this lesson's networks, as far as labkit made them; tell how many containers.

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
        return _("{count} containers are gone.", count=len(mine))

    @staticmethod
    def _each(things: Iterable[T], does: Callable[[T], object]) -> None:
        """Do the same with many things, some of them at once."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(does, things))

    # -- how it comes up ------------------------------------------------------------------------

    def _check(self) -> None:
        """Raise :class:`LabError` for too many devices, or one called like one of our own."""
        topology = self.topology
        count = len(topology.stations)
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
        self._switches = self._container("net", ["sh", "-c", _SWITCHES])
        try:
            self.docker.start(self._switches)
        except LabError as error:
            if self._no_ipv6 and "/proc/sys/net/ipv6" in str(error):
                self.down()
                self._no_ipv6 = {}  # such a kernel has nothing to switch off
                return self._start()
            if TUN not in str(error):
                raise
            raise LabError(
                "The live network needs {device}, which the engine's machine lacks: `sudo "
                "modprobe tun` there, or use the recorded outputs.",
                device=TUN,
            ) from None
        shared = f"container:{self._switches}"
        names = [station.name for station in self.topology.stations]
        made = [self._container(name, ["sh", "-c", _HOST, name], pid_mode=shared) for name in names]
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
            sysctls=_SYSCTLS | self._no_ipv6 | forward,
            **options,
        )

    def _wire(self) -> None:
        """Lay the cables, and plug them into the switches."""
        processes = self.inside("net", ["ps", "-eo", "pid,args"])
        stations = re.findall(r"^\s*(\d+) sh -c while .* ([a-z][a-z0-9-]*)$", processes, re.M)
        cables = cabling.cables(self.topology, {name: pid for pid, name in stations})
        self._ip("net", cables.ip)
        self.inside("net", ["ovs-vsctl", "--retry", "--timeout=20", *cables.ovs])

    def _address(self, station: Host | Router) -> None:
        self._ip(station.name, cabling.addresses(station))
        if isinstance(station, Host):
            # Open vSwitch in user space computes no checksums, so hosts must.
            self.inside(station.name, ["ethtool", "-K", "eth0", "tx", "off"])

    def _ip(self, device: str, lines: Sequence[str]) -> None:
        self.inside(device, ["ip", "-batch", "-"], "".join(f"{line}\n" for line in lines))

    def _watch_ports(self) -> None:
        """Have a tcpdump at every port."""
        ports = [str(plug) for plug in self.topology.switch_ports()]
        self.inside("net", ["sh", "-c", _EYES, "eyes", *ports], option="-d")
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
        ports = len(self.topology.switch_ports())
        if complaint := self.inside("net", ["sh", "-c", _WATCH, "watch", str(ports)]):
            raise LabError(
                "tcpdump is not running at each port of the live network; it said: "
                "{words:.200}. {advice}",
                **_last_words(complaint),
            )

    # -- commands inside ------------------------------------------------------------------------

    def inside(
        self, device: str, argv: Sequence[str], stdin: str | None = None, option: str = "-i"
    ) -> str:
        """What a command says in a device's container; ``option``: of ``docker exec``.

        Raises :class:`LabError` with its own words if it fails.
        """
        name = self.name(device)
        result = run(["docker", "exec", option, name, *argv], stdin, timeout=60)
        if not result.code:
            return result.out
        if re.search("No such container|is not running|container has stopped", result.err):
            raise LabError(
                "The live network is not up, for {name} is not running: `%net up`, then this "
                "again.",
                name=name,
            )
        raise LabError(
            "The live network fails: `{command:.60}` in {name} says: {words:.200}. {advice}",
            command=" ".join(argv),
            name=name,
            **_last_words(result.text),
        )

    def _ended(self) -> str:
        """Why the switches have ended; "" if they have not."""
        net = self.docker.client.inspect("container", self._switches)
        if not net or net["State"]["Status"] != "exited":
            return ""
        logs = run(["docker", "logs", "--tail", "1", self._switches], timeout=60)
        return _(
            "Open vSwitch has ended in the live network; it said: {words:.200}. {advice}",
            **_last_words(logs.text),
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
        if tags:
            frame = crafted(topology, start, target, tags)
            self.inside(start, ["perl", "-e", _SEND, frame.hex()])
        else:
            ping = ["ping", "-n", "-c", "1", "-W", "1", str(other.address.ip)]
            answered = not run(["docker", "exec", self.name(start), *ping], timeout=30).code
        seen = {plug: frames[before.get(plug, 0) :] for plug, frames in self._settled().items()}
        if tags:  # a host takes what is for its MAC and in no VLAN, for it knows none
            answered = any(
                frame[:6] == other.mac and vlans(frame) in ((), (0,)) for frame in seen[other.plug]
            )
        lines = [line for plug in sorted(seen) for line in frame_lines(plug, seen[plug], topology)]
        text = "".join(f"{line}\n" for line in lines)
        return Result(("net", start, target, *tags), int(not answered), (("out", text),))

    def _forget(self) -> None:
        """Nothing is learned any more, on hosts and switches."""
        names = [station.name for station in self.topology.stations]
        self._each(names, lambda device: self.inside(device, ["ip", "neigh", "flush", "all"]))
        self.inside("net", ["sh", "-c", _FORGET, "forget", *cabling.bridges(self.topology)])


def frame_lines(plug: Plug, frames: Sequence[bytes], topology: Topology) -> list[str]:
    """Frames at a port, one a line: the port, the tags, what it is."""
    names = topology.names()
    return [
        f"{plug!s:<6} {','.join(map(str, vlans(frame))) or '-':<5} {summary(frame, names)}"
        for frame in frames
    ]


def _last_words(text: str) -> dict[str, str]:
    """The last line of what a command said, as ``words``, and ``advice`` about it."""
    # `ip -batch` adds but a line's number.
    lines = [line for line in text.splitlines() if line and not line.startswith("Command failed")]
    words = lines[-1] if lines else _("nothing")
    if "not permitted" in words:
        advice = _(
            "This engine gives containers no NET_ADMIN (a rootless one, perhaps): use the recorded "
            "outputs."
        )
    else:
        advice = _("Run `%net up` again; if it stays so, use the recorded outputs.")
    return {"words": words, "advice": advice}
