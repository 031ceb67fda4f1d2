"""What ``%tunnel`` and ``%%bytes`` show: packets through tunnels, and bytes pasted from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence

from labkit.errors import LabError
from labkit.net import picture
from labkit.net.engine import Answer, Text
from labkit.net.packets import ipv4, tcp
from labkit.net.tunnels import KINDS, Tunnel, fragments, largest, overhead
from labkit.show.text import clean
from labkit.words import number

CLIENT, SERVER = 0x0A320001, 0x0A320002  # 10.50.0.1 and .2: the network inside
_OFFSET = re.compile(r"\s*(?:0x)?([0-9a-fA-F]{4})(:\s|\s\s)")
MOST = 20  # pieces told one by one
SECRET = "GET /nota?pin=1234"
HELP = """%tunnel KIND ["text"]       send a text through a tunnel, and look at the wire
%tunnel sizes               what each kind adds to a packet, and whether it encrypts
%tunnel mtu MTU             the longest packet that fits through each
%tunnel tamper KIND         change one byte on the way
%tunnel replay KIND         send a recorded packet again
%tunnel fragment SIZE MTU   a packet that is too long, cut by a router"""


def _data(text: str) -> bytes:
    return text.encode(
        "utf-8", "replace"
    )  # half a character, which no browser sends, is a question mark


def packet(text: str) -> bytes:
    """A text from a client to a web server inside, as an IPv4 packet. Raises :class:`LabError`."""
    data = _data(text)
    if len(data) > 1400:
        raise LabError(
            "Send up to 1,400 bytes: what does not fit into one packet is another story."
        )
    return ipv4(CLIENT, SERVER, 6, tcp((CLIENT, 40000), (SERVER, 80), data))


def through(kind: str, text: str = SECRET) -> Answer:
    """A text sent through a tunnel: what is on the wire, and whether an eavesdropper can read it."""
    if not text:
        raise LabError('Send one letter at least: `%tunnel gre "hello"`.')
    inside = packet(text)
    outside = Tunnel(kind).wrap(inside)
    hits = outside.count(_data(text))
    often = {0: "not once", 1: "once"}.get(hits, f"{hits} times")
    said = f'An eavesdropper who searches the {len(outside)} bytes for "{clean(text)}" finds it {often}.'
    return Answer(
        picture.Boxes(outside, inside, f"tunnel: {kind}"),
        picture.Bytes(outside, "on the wire", "IPv4"),
        Text(said),
        ok=not hits,
    )


def _sizes() -> Answer:
    rows = [
        f"{kind:<10} {overhead(kind):>4}  {'yes' if known.encrypts else 'no':<8}  {known.source}".rstrip()
        for kind, known in KINDS.items()
    ]
    head = ["bytes added to a packet of 1,000", f"{'tunnel':<10} adds  encrypts  source"]
    return Answer(Text("\n".join([*head, *rows])))


def _mtu(word: str) -> Answer:
    mtu = number(
        word, 100, 9000, "The MTU is a number of bytes from 100 to 9000: `%tunnel mtu 1500`."
    )
    rows = [f"{kind:<10} {largest(kind, mtu):>4}" for kind in KINDS]
    return Answer(
        Text("\n".join([f"bytes of the longest packet inside, when outside {mtu} fit", *rows]))
    )


def altered(kind: str, outside: bytes) -> bytes:
    """A packet with one bit turned over on the way, in the last byte before a tag."""
    at = len(outside) - (17 if KINDS[kind].encrypts else 1)
    return outside[:at] + bytes([outside[at] ^ 1]) + outside[at + 1 :]


def _attack(how: str, kind: str) -> Answer:
    """Alter or repeat a packet on the way, and see what the other end makes of it."""
    tunnel = Tunnel(kind)
    outside = tunnel.wrap(packet(SECRET))
    if how == "replay":
        tunnel.unwrap(outside)
    else:
        outside = altered(kind, outside)
    try:
        found = tunnel.unwrap(outside)
    except LabError as error:
        return Answer(Text(str(error)), ok=False)
    text = found[40:].decode("ascii", "replace")
    return Answer(Text(f'It is taken as if nothing had happened, and says "{text}".'))


def _fragment(words: Sequence[str]) -> Answer:
    size, mtu = (
        number(word, 0, 65535, "Two numbers of bytes up to 65535: `%tunnel fragment 1600 1500`.")
        for word in words
    )
    if size < 28:
        raise LabError("A packet with anything in it takes 28 bytes at least.")
    if size <= mtu:
        return Answer(Text(f"A packet of {size} bytes fits into {mtu} as it is: nobody cuts it."))
    whole = ipv4(CLIENT, SERVER, 17, bytes(size - 20), identification=7)
    may = whole[:6] + b"\0\0" + whole[8:10] + b"\0\0" + whole[12:]  # without "do not fragment"
    pieces = fragments(may, mtu)
    lines = [
        f"piece {count}: {len(piece)} bytes, from byte {8 * (int.from_bytes(piece[6:8], 'big') & 0x1FFF)} of the "
        f"data, {'more follow' if piece[6] & 0x20 else 'the last'}"
        for count, piece in enumerate(pieces, 1)
    ]
    if len(lines) > MOST:
        lines[MOST - 1 : -1] = [f"… and {len(lines) - MOST} between"]
    total = sum(map(len, pieces))
    lines.append(
        f"{len(pieces)} pieces, {total} bytes in all, {total - size} more than before; one lost loses all."
    )
    try:
        fragments(whole, mtu)
    except LabError as error:
        lines.append(str(error))
    return Answer(Text("\n".join(lines)))


def do(words: Sequence[str]) -> Answer:
    """Run one ``%tunnel`` command. Raises :class:`LabError`."""
    name, rest = (words[0], list(words[1:])) if words else ("help", [])
    if name in KINDS and len(rest) <= 1:
        return through(name, *rest)
    if name == "sizes" and not rest:
        return _sizes()
    if name == "mtu" and len(rest) == 1:
        return _mtu(*rest)
    if name in ("tamper", "replay") and len(rest) == 1:
        return _attack(name, *rest)
    if name == "fragment" and len(rest) == 2:
        return _fragment(rest)
    if name == "help":
        return Answer(Text(f"{HELP}\nKINDs: {', '.join(KINDS)}"))
    raise LabError(f"`%tunnel {' '.join(words)[:40]}` is not known; `%tunnel help` shows what is.")


def pasted(text: str, first: str) -> Answer:
    """Bytes in hex, with or without offsets, taken apart. Raises :class:`LabError` for anything else."""
    found = ""
    for row, line in enumerate(filter(str.strip, text.splitlines())):
        offset = _OFFSET.match(line)
        if offset and (
            offset[2][0] == ":" or int(offset[1], 16) == 16 * row
        ):  # tcpdump's, or as we print them
            line = line[offset.end() :]
        found += "".join(line.split())
    if not re.fullmatch(r"(?:[0-9a-fA-F]{2})+", found) or len(found) > 20_000:
        raise LabError(
            "That is no frame in hex: paste lines as `tcpdump -xx` prints them, two digits a byte, up to "
            "10,000 bytes."
        )
    return Answer(picture.Bytes(bytes.fromhex(found), "", first))
