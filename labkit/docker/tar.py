"""The members of a tar archive, from its headers alone: no data is kept, nothing is extracted.

Formats: POSIX ustar and pax; GNU's long names, base-256 numbers and sparse files. Sources: POSIX,
pax, "ustar Interchange Format" and "pax Header Block"; tar(5) of libarchive, "GNU Tar Archives";
the GNU tar manual, "Storing Sparse Files".
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from labkit.docker.listing import LayerEntry
from labkit.docker.streams import MAX_PATH, Source, damaged
from labkit.errors import LabError
from labkit.messages import _

BLOCK = 512  # bytes: a header; data is padded to whole blocks
RECORD = 1 << 20  # bytes: the longest record about a name that is read
TOO_BIG = 1 << 63  # no file is of this size


def _field(offset: int, size: int) -> slice:
    return slice(offset, offset + size)


class Ustar:
    """Where a header has what: offset and size in bytes."""

    NAME = _field(0, 100)
    MODE = _field(100, 8)
    UID = _field(108, 8)
    GID = _field(116, 8)
    SIZE = _field(124, 12)
    CHECKSUM = _field(148, 8)
    TYPEFLAG = _field(156, 1)
    LINK = _field(157, 100)
    MAGIC = _field(257, 6)
    PREFIX = _field(345, 155)
    # Only in the header of a GNU sparse file.
    CONTINUED = _field(482, 1)  # the map of its holes goes on in the next block
    REAL_SIZE = _field(483, 12)
    CONTINUED_AGAIN = _field(504, 1)  # in each such block


FILE_FLAGS = (b"0", b"\0")  # types of a file, today's and that before POSIX
KIND_OF_FLAG = {  # any other is a file
    b"1": "h",  # hard link
    b"2": "l",  # symbolic link
    b"3": "c",  # character device
    b"4": "b",  # block device
    b"5": "d",  # folder
    b"6": "p",  # pipe
}
GNU_SPARSE = b"S"
# Types of headers that only tell more about the next member.
PAX = b"x"
PAX_GLOBAL = b"g"  # defaults for all members, which Docker ignores too
GNU_LONG = {b"L": "path", b"K": "linkpath"}  # with the keyword that pax has for the same
EXTENDED = {PAX, PAX_GLOBAL, *GNU_LONG}


def members(source: Source) -> Iterator[LayerEntry]:
    """The members of a tar; at each ``yield`` the source stands at the member's data.

    A sparse file has the size that `ls -l` shows. LabError if it is not a sound tar.
    """
    padding = 0
    extended: dict[str, str] = {}  # what is told of the next member before it, by pax keyword
    while True:
        header = source.read(padding + BLOCK)[padding:]  # in one system call
        if not is_header(header):
            if not header.strip(b"\0"):
                return
            raise _unsound(source, header)
        try:
            if header[Ustar.TYPEFLAG] in EXTENDED:
                length = _number(header[Ustar.SIZE])
                extended.update(_extended_records(header[Ustar.TYPEFLAG], length, source))
                padding = -length % BLOCK
                continue
            entry, length = _member(header, extended, source)
        except ValueError:
            offset = source.position - BLOCK
            problem = _("makes no sense at byte {offset}", offset=offset)
            raise damaged(source.name, problem) from None
        end = source.position + length
        padding = -length % BLOCK
        extended = {}
        yield entry
        source.skip(end - source.position)


def is_header(block: bytes) -> bool:
    """Is this a header, by its checksum? That is the sum of its bytes, itself counted as blanks."""
    if len(block) < BLOCK:
        return False
    try:
        checksum = _number(block[Ustar.CHECKSUM])
    except ValueError:
        return False
    # The low half of Adler-32 is 1 more than the sum of the bytes modulo 65521 (RFC 1950, 8.2), and
    # takes a tenth of the time of `sum`.
    total = (zlib.adler32(block) & 0xFFFF) - (zlib.adler32(block[Ustar.CHECKSUM]) & 0xFFFF)
    return (total + 8 * ord(" ") - checksum) % 65521 == 0


def clean_path(name: str) -> str:
    """A member's path below the root, without leading, trailing or double "/".

    ".." stops at the root, as in a chroot.
    """
    name = name.removeprefix("./").removesuffix("/")
    if not ("/." in name or "//" in name or name.startswith(("/", ".")) or name.endswith("/")):
        return name
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _number(field: bytes) -> int:
    """Octal digits, or GNU's base-256 if the first bit is set (-1 for any negative one)."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    return int(field.strip(b" \0") or b"0", 8)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _extended_records(flag: bytes, length: int, source: Source) -> dict[str, str]:
    """What such a header's data tells, by pax keyword."""
    if length > RECORD:
        problem = _("has a name of {length} bytes, more than any system takes", length=length)
        raise damaged(source.name, problem)
    data = source.read(length)
    if len(data) < length:
        raise damaged(source.name, _("ends in the middle"))
    if flag == PAX:
        return _pax_records(data)
    if flag == PAX_GLOBAL:
        return {}
    return {GNU_LONG[flag]: _text(data)}


def _pax_records(data: bytes) -> dict[str, str]:
    r"""Records of the form "length keyword=value\n". ValueError if it has another form."""
    records: dict[str, str] = {}
    start = 0
    while start < len(data):
        blank = data.index(b" ", start, start + 9)
        end = start + int(data[start:blank])
        keyword, equals, value = data[blank + 1 : end].partition(b"=")
        if not blank < end <= len(data) or not equals or not value.endswith(b"\n"):
            raise ValueError
        records[_text(keyword)] = _text(value[:-1])
        start = end
    return records


def _member(header: bytes, extended: dict[str, str], source: Source) -> tuple[LayerEntry, int]:
    """A header's entry, and the bytes of data behind it. ValueError if it makes no sense."""
    flag = header[Ustar.TYPEFLAG]
    path = _path(header, extended)
    kind = KIND_OF_FLAG.get(flag, "f")
    if path.endswith("/") and flag in FILE_FLAGS:
        kind = "d"  # as before POSIX
    detail = ""
    if kind == "d":
        detail = _owner(header, extended)
    elif kind in ("h", "l"):
        detail = _target(header, extended)
    if len(path) > MAX_PATH or len(detail) > MAX_PATH:
        problem = _("has a path longer than the {limit} bytes that Linux takes", limit=MAX_PATH)
        raise damaged(source.name, problem)
    if kind == "h":
        detail = clean_path(detail)
    stored, size = _sizes(header, kind, extended, source)
    return LayerEntry(kind, clean_path(path), size, detail), stored


def _path(header: bytes, extended: dict[str, str]) -> str:
    path = _text(header[Ustar.NAME])
    if header[Ustar.PREFIX.start] and header[Ustar.MAGIC] == b"ustar\0":
        path = f"{_text(header[Ustar.PREFIX])}/{path}"
    if extended:
        path = extended.get("GNU.sparse.name", extended.get("path", path))
    return path


def _target(header: bytes, extended: dict[str, str]) -> str:
    return extended.get("linkpath", _text(header[Ustar.LINK]))


def _owner(header: bytes, extended: dict[str, str]) -> str:
    """A folder's "mode:uid:gid"."""
    uid = extended.get("uid") or _number(header[Ustar.UID])
    gid = extended.get("gid") or _number(header[Ustar.GID])
    return f"{_number(header[Ustar.MODE]) & 0o7777:o}:{uid}:{gid}"


def _sizes(header: bytes, kind: str, extended: dict[str, str], source: Source) -> tuple[int, int]:
    """Bytes of data behind a header, and what `ls -l` shows: more for a sparse file."""
    stored = _number(header[Ustar.SIZE])
    if extended:
        stored = int(extended.get("size", stored))
    if kind != "f":
        return 0, 0
    size = stored
    if header[Ustar.TYPEFLAG] == GNU_SPARSE:
        size = _real_size(header, source)
    elif extended:
        size = int(extended.get("GNU.sparse.realsize", extended.get("GNU.sparse.size", stored)))
    if not (0 <= stored < TOO_BIG and 0 <= size < TOO_BIG):
        raise ValueError
    return stored, size


def _real_size(header: bytes, source: Source) -> int:
    """Of a GNU sparse file; leaves out the blocks in which its map goes on."""
    size = _number(header[Ustar.REAL_SIZE])
    continued = header[Ustar.CONTINUED]
    while continued.strip(b"\0"):
        continued = source.read(BLOCK)[Ustar.CONTINUED_AGAIN]
    return size


def _unsound(source: Source, header: bytes) -> LabError:
    offset = source.position - len(header)
    if len(header) < BLOCK:
        problem = _("ends in the middle")
    elif offset:
        problem = _("damaged at byte {offset}", offset=offset)
    else:
        problem = _("no tar archive as `docker save` writes it")
    return damaged(source.name, problem)
