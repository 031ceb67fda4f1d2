"""Appliances made to order, good and hostile.

Source: DMTF DSP0243; :data:`OVF` is what VirtualBox 7.2 exports, without what no test changes.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

DISK = "m-disk001.vmdk"
HREF = f'href="{DISK}"'
OVF = f"""<?xml version="1.0"?>
<Envelope ovf:version="1.0" xml:lang="en-US" xmlns="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:vbox="http://www.virtualbox.org/ovf/machine">
  <References>
    <File ovf:id="file1" ovf:{HREF}/>
  </References>
  <VirtualSystem ovf:id="m">
    <Info>A virtual machine</Info>
    <vbox:Machine ovf:required="false" version="1.19-linux" name="m" snapshotFolder="Snapshots">
      <Hardware>
        <Network>
          <Adapter slot="0" type="82540EM"/>
        </Network>
        <Clipboard/>
      </Hardware>
    </vbox:Machine>
  </VirtualSystem>
</Envelope>
"""


class Member(NamedTuple):
    """A file of an archive, or a link to ``target``, exactly as named."""

    name: str
    data: bytes = b""
    kind: bytes = tarfile.REGTYPE
    target: str = ""


def tar(*members: Member) -> bytes:
    """An archive, each member with its data whatever its kind says."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data, kind, target in members:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, target
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def with_header(archive: bytes, at: int, field: int, value: bytes) -> bytes:
    """The archive with a field of the header at byte ``at`` changed, and the header's sum."""
    made = bytearray(archive)
    made[at + field : at + field + len(value)] = value
    made[at + 148 : at + 156] = b" " * 8
    made[at + 148 : at + 156] = b"%06o\0 " % sum(made[at : at + 512])
    return bytes(made)


class Appliance(NamedTuple):
    """What a good one holds, and the folder of a student that a hostile one is after."""

    ovf: str
    disk: bytes
    theirs: Path

    def aimed(self, text: str) -> str:
        return text.replace("THEIRS", str(self.theirs))

    def packed(self, *members: Member) -> bytes:
        """The OVF and these members."""
        return tar(Member("m.ovf", self.ovf.encode()), *members)

    def edited(self, *changes: tuple[str, str], disk: str = DISK) -> bytes:
        """The appliance with words in its OVF replaced, and its disk packed under another name."""
        text = self.ovf
        for old, new in changes:
            assert old in text
            text = text.replace(old, self.aimed(new))
        return self._replace(ovf=text).packed(Member(self.aimed(disk), self.disk))

    def moved(self, to: str) -> bytes:
        """The appliance with its disk called so, in the OVF and in the archive."""
        return self.edited((HREF, f'href="{to}"'), disk=to)


Build = Callable[[Appliance], bytes]
EVIL = "../../evil.vmdk"


def machine(attribute: str) -> Build:
    """An attribute of the machine in place of the one that says where its snapshots are."""
    return lambda good: good.edited((' snapshotFolder="Snapshots"', f" {attribute}"))


def hardware(text: str) -> Build:
    """A device in place of the clipboard."""
    return lambda good: good.edited(("<Clipboard/>", text))


def text(declaration: str, use: str = "&x;") -> Build:
    """A document type that declares an entity, and a text with it."""
    begin = f"?><!DOCTYPE Envelope {declaration}>"
    return lambda good: good.edited(("?>", begin), ("A virtual machine", use))


def behind(name: str) -> Build:
    """A climbing OVF, before it another file with a sound one."""
    evil = Member(EVIL, b"")

    def build(good: Appliance) -> bytes:
        climbing = good.ovf.replace(HREF, f'href="{EVIL}"')
        return tar(
            Member(name, good.ovf.encode()),
            Member("m.ovf", climbing.encode()),
            evil._replace(data=good.disk),
        )

    return build


def _entity(level: int) -> str:
    """Ten times the entity below it."""
    name = "x" if level == 9 else f"e{level}"
    value = f"&e{level - 1};" * 10 if level else "ha" * 50
    return f'<!ENTITY {name} "{value}">'


BOMB = "".join(map(_entity, range(10)))
# With these VirtualBox would use what is outside the new machine's folder.
ELSEWHERE: dict[str, Build] = {
    "climbing href": lambda good: good.edited((HREF, f'href="{EVIL}"')),
    "absolute href": lambda good: good.edited((HREF, 'href="THEIRS/own.vmdk"')),
    "climbing": lambda good: good.moved(EVIL),
    "absolute": lambda good: good.moved("THEIRS/evil.vmdk"),
    "Windows": lambda good: good.moved("..\\..\\evil.vmdk"),
    "a drive": lambda good: good.moved("C:evil.vmdk"),
    "escaped": lambda good: good.edited((HREF, 'href="&#46;./../evil.vmdk"'), disk=EVIL),
    "OVF in capitals": lambda good: with_header(good.moved(EVIL), 0, 0, b"M.OVF"),
    "saved state": machine('snapshotFolder="Snapshots" stateFile="THEIRS/own.txt"'),
    "snapshots": machine('snapshotFolder="THEIRS"'),
    "snapshots climb": machine('snapshotFolder="../../x"'),
    "trace": hardware(
        '<Network><Adapter slot="0" type="82540EM" enabled="true" trace="true" '
        'tracefile="THEIRS/own.txt"><NAT/></Adapter></Network>'
    ),
    "serial port": hardware(
        '<UART><Port slot="0" enabled="true" IOBase="0x3f8" IRQ="4" hostMode="HostDevice" '
        'path="THEIRS/own.txt"/></UART>'
    ),
    "TPM": hardware('<TrustedPlatformModule type="v2_0" location="THEIRS/own.txt"/>'),
}
# These VirtualBox may read otherwise than we do, or they are no sound appliances.
DAMAGED: dict[str, Build] = {
    "behind a disk": behind(DISK),
    "behind a text": behind("m.txt"),
    "behind a long name": lambda good: with_header(behind("m.ovf")(good), 0, 156, b"L"),
    "OVF a link": lambda good: tar(Member("m.ovf", b"", tarfile.SYMTYPE, "/etc/passwd")),
    # To read -1 byte is to read all that there is.
    "OVF of -1 byte": lambda good: with_header(good.packed(), 0, 124, b"\xff" * 12)[
        : tarfile.BLOCKSIZE + len(good.ovf)
    ],
    "entity in href": lambda good: good.edited(
        ("?>", f'?><!DOCTYPE Envelope [<!ENTITY x "{EVIL}">]>'), (HREF, 'href="&x;"'), disk=EVIL
    ),
    "huge OVF": lambda good: good.edited(
        (HREF, f'href="{EVIL}"'), ("A virtual machine", "x" * (17 << 20)), disk=EVIL
    ),
    "XML bomb": text(f"[{BOMB}]"),
    "long entity": text(f'[<!ENTITY x "{"x" * 1_000_000}">]', "&x;" * 5000),
    "external entity": text('[<!ENTITY x SYSTEM "file:///etc/passwd">]'),
    "external DTD": text('SYSTEM "file:///etc/passwd"', "x"),
    "truncated OVF": lambda good: good.edited()[:1000],
    "empty": lambda good: b"",
    "zeros": lambda good: b"\0" * 10240,
    "no archive": lambda good: b"hello\n" * 1000,
}
