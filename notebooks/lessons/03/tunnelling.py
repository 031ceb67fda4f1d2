"""What ``%tunnel`` shows: packets through tunnels, as on the wire."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from labkit.errors import LabError
from labkit.messages import N_, _
from labkit.net.headers import LAYOUTS, TCP, UDP, Header, dissect
from labkit.net.packets import ipv4
from labkit.net.picture import Answer, Bytes, header_look
from labkit.show.markup import Figure, macro
from labkit.show.text import clean
from labkit.words import number

from .tunnels import TUNNEL_KINDS, Tunnel, fragments, largest, overhead, tcp

CLIENT = 0x0A320001  # 10.50.0.1: in the network inside
SERVER = 0x0A320002  # 10.50.0.2
MOST_BYTES = 1400  # of a text, so that it fits into one packet
MOST_PIECES = 20  # told one by one
SECRET = "GET /nota?pin=1234"
HELP = N_("""%tunnel KIND ["text"]       send a text through a tunnel, and look at the wire
%tunnel sizes               what each kind adds to a packet, and whether it encrypts
%tunnel mtu MTU             the longest packet that fits through each
%tunnel tamper KIND         change one byte on the way
%tunnel replay KIND         send a recorded packet again
%tunnel fragment SIZE MTU   a packet that is too long, cut by a router""")


class Boxes(Figure):
    """A packet in a packet: ``outside`` crosses the wire; ``inside`` is for who has the key."""

    def __init__(self, outside: bytes, inside: bytes, title: str) -> None:
        self.title = title
        self.wire = dissect(outside, "IPv4")
        self._hidden = dissect(inside, "IPv4") if self.wire[-1].sealed else []
        self._sizes = {"outside": len(outside), "inside": len(inside)}

    def __str__(self) -> str:
        wire, hidden = (
            " | ".join(f"{header.label} {header.size}" for header in headers)
            for headers in (self.wire, self._hidden)
        )
        lines = [
            self.title,
            _("on the wire  {outside:>5} bytes: {headers}", headers=wire, **self._sizes),
        ]
        if hidden:
            inside = _(
                "in it        {inside:>5} bytes: {headers}, then padding and a tag",
                headers=hidden,
                **self._sizes,
            )
            lines.append(inside)
        return "\n".join(lines)

    def html(self) -> Markup:
        """Each header a box that holds the next one."""
        if self._hidden:
            about = _(
                "{outside} bytes on the wire for {inside} inside; hatched: only who has the key "
                "sees what is in it.",
                **self._sizes,
            )
        else:
            about = _(
                "{outside} bytes on the wire for {inside} inside; nothing in it is hidden.",
                **self._sizes,
            )
        headers = [*self.wire, *self._hidden]
        return macro("net/picture.html", "boxes", self, about, headers, header_look, _source)


def _source(header: Header) -> str:
    return LAYOUTS[header.name].source if header.name in LAYOUTS else ""


def _data(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # half a character, which no browser sends, is a "?"


def packet(text: str) -> bytes:
    """A text from a client to a web server inside, as an IPv4 packet. Raises :class:`LabError`."""
    data = _data(text)
    if len(data) > MOST_BYTES:
        told = _(
            "Send up to {most:,} bytes: what does not fit into one packet is another story.",
            most=MOST_BYTES,
        )
        raise LabError(told)
    return ipv4(CLIENT, SERVER, TCP, tcp((CLIENT, 40000), (SERVER, 80), data))


def through(kind: str, text: str = SECRET) -> Answer:
    """A text sent through a tunnel: what is on the wire, and whether an eavesdropper can read it.

    Raises :class:`LabError`.
    """
    if not text:
        raise LabError('Send one letter at least: `%tunnel gre "hello"`.')
    inside = packet(text)
    outside = Tunnel(kind).wrap(inside)
    hits = outside.count(_data(text))
    often = {0: _("not once"), 1: _("once")}.get(hits) or _("{number} times", number=hits)
    told = _(
        'An eavesdropper who searches the {size} bytes for "{text}" finds it {often}.',
        size=len(outside),
        text=clean(text),
        often=often,
    )
    return Answer(
        Boxes(outside, inside, _("tunnel: {kind}", kind=kind)),
        Bytes(outside, _("on the wire"), "IPv4"),
        told,
        ok=not hits,
    )


def altered(kind: str, outside: bytes) -> bytes:
    """A packet with one bit turned over on the way, in the last byte before a tag."""
    place = len(outside) - (17 if TUNNEL_KINDS[kind].encrypts else 1)
    return outside[:place] + bytes([outside[place] ^ 1]) + outside[place + 1 :]


# -- commands -----------------------------------------------------------------------------------


def _sizes() -> Answer:
    lines = [_("bytes added to a packet of 1,000"), _("tunnel     adds  encrypts  source")]
    for name, kind in TUNNEL_KINDS.items():
        encrypts = _("yes") if kind.encrypts else _("no")
        lines.append(f"{name:<10} {overhead(name):>4}  {encrypts:<8}  {kind.source}".rstrip())
    return Answer("\n".join(lines))


def _mtu(word: str) -> Answer:
    usage = _("The MTU is a number of bytes from 100 to 9000: `%tunnel mtu 1500`.")
    mtu = number(word, 100, 9000, usage)
    lines = [_("bytes of the longest packet inside, when outside {mtu} fit", mtu=mtu)]
    lines += [f"{kind:<10} {largest(kind, mtu):>4}" for kind in TUNNEL_KINDS]
    return Answer("\n".join(lines))


def _tamper(kind: str) -> Answer:
    tunnel = Tunnel(kind)
    return _arrives(tunnel, altered(kind, tunnel.wrap(packet(SECRET))))


def _replay(kind: str) -> Answer:
    tunnel = Tunnel(kind)
    outside = tunnel.wrap(packet(SECRET))
    tunnel.unwrap(outside)
    return _arrives(tunnel, outside)


def _arrives(tunnel: Tunnel, outside: bytes) -> Answer:
    """What the other end makes of a packet that an attacker had in his hands."""
    try:
        inside = tunnel.unwrap(outside)
    except LabError as error:
        return Answer(str(error), ok=False)
    text = inside[40:].decode("ascii", "replace")  # behind IPv4 and TCP
    return Answer(_('It is taken as if nothing had happened, and says "{text}".', text=text))


def _fragment(size_word: str, mtu_word: str) -> Answer:
    usage = _("Two numbers of bytes up to 65535: `%tunnel fragment 1600 1500`.")
    size, mtu = (number(word, 0, 65535, usage) for word in (size_word, mtu_word))
    if size < 28:
        raise LabError("A packet with anything in it takes 28 bytes at least.")
    if size <= mtu:
        told = _(
            "A packet of {size} bytes fits into {mtu} as it is: nobody cuts it.", size=size, mtu=mtu
        )
        return Answer(told)
    whole = ipv4(CLIENT, SERVER, UDP, bytes(size - 20), identification=7)
    divisible = whole[:6] + b"\0\0" + whole[8:]  # without "do not fragment"
    pieces = fragments(divisible, mtu)
    lines = list[str]()
    for count, piece in enumerate(pieces, 1):
        told = _(
            "piece {count}: {size} bytes, from byte {offset} of the data, {which}",
            count=count,
            size=len(piece),
            offset=8 * (int.from_bytes(piece[6:8], "big") & 0x1FFF),
            which=_("more follow") if count < len(pieces) else _("the last"),
        )
        lines.append(told)
    if len(lines) > MOST_PIECES:
        between = len(lines) - MOST_PIECES
        lines[MOST_PIECES - 1 : -1] = [_("… and {number} between", number=between)]
    total = sum(map(len, pieces))
    told = _(
        "{number} pieces, {total} bytes in all, {more} more than before; one lost loses all.",
        number=len(pieces),
        total=total,
        more=total - size,
    )
    lines.append(told)
    try:
        fragments(whole, mtu)
    except LabError as error:
        lines.append(str(error))
    return Answer("\n".join(lines))


_COMMANDS: dict[tuple[str, int], Callable[..., Answer]] = {  # by name and number of words
    ("sizes", 0): _sizes,
    ("mtu", 1): _mtu,
    ("tamper", 1): _tamper,
    ("replay", 1): _replay,
    ("fragment", 2): _fragment,
}


def do(words: Sequence[str]) -> Answer:
    """Run one ``%tunnel`` command. Raises :class:`LabError`."""
    name, *rest = words or ["help"]
    if name == "help":
        kinds = ", ".join(TUNNEL_KINDS)
        return Answer(_("{help}\nKINDs: {kinds}", help=_(HELP), kinds=kinds))
    if name in TUNNEL_KINDS and len(rest) <= 1:
        return through(name, *rest)
    command = _COMMANDS.get((name, len(rest)))
    if not command:
        typed = " ".join(words)
        told = _("`%tunnel {words:.40}` is not known; `%tunnel help` shows what is.", words=typed)
        raise LabError(told)
    return command(*rest)
