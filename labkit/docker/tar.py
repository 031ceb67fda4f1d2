"""The members of a tar archive, from its headers alone: no data is kept, nothing is extracted.

Formats: POSIX ustar and pax; GNU's long names, base-256 numbers and sparse files. Sources: POSIX,
pax, "ustar Interchange Format" and "pax Header Block"; tar(5) of libarchive, "GNU Tar Archives";
the GNU tar manual, "Storing Sparse Files".
"""

from __future__ import annotations

import posixpath
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from labkit.docker.streams import MAX_PATH, Source, damaged
from labkit.errors import LabError
from labkit.messages import _

BLOCK = 512  # bytes: a header; data is padded to whole blocks
RECORD = 1 << 20  # bytes: the longest record about a name that is read
TOO_BIG = 1 << 63  # no file is of this size


class Ustar:
    """Where a header has what, in bytes."""

    NAME = slice(0, 100)
    MODE = slice(100, 108)
    UID = slice(108, 116)
    GID = slice(116, 124)
    SIZE = slice(124, 136)
    CHECKSUM = slice(148, 156)
    TYPEFLAG = slice(156, 157)
    LINK = slice(157, 257)
    MAGIC = slice(257, 263)
    PREFIX = slice(345, 500)
    # Only in the header of a GNU sparse file.
    CONTINUED = slice(482, 483)  # the map of its holes goes on in the next block
    REAL_SIZE = slice(483, 495)
    CONTINUED_AGAIN = slice(504, 505)  # in each such block


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


class LayerEntry(NamedTuple):
    """A member of a layer's tar."""

    kind: str  # f file, d folder, l symbolic link, h hard link, c and b devices, p pipe
    path: str  # from the root, without a leading "/"
    size: int  # bytes
    detail: str  # a link's target, or a folder's "mode:uid:gid" (octal:decimal:decimal)


def write_listing(entries: Iterable[LayerEntry]) -> Iterator[str]:
    """One line per entry: "kind size path", then a tab and the detail if any.

    For recordings, which people read: what cannot be printed stands as Python's escapes.
    """
    for kind, path, size, detail in entries:
        texts = [path, detail] if detail else [path]
        if any("\\" in text or not text.isprintable() for text in texts):
            texts = [text.encode("unicode_escape").decode() for text in texts]
        yield f"{kind} {size} " + "\t".join(texts)


def read_listing(lines: Iterable[str]) -> Iterator[LayerEntry]:
    """The entries that :func:`write_listing` was given. LabError for a line it never writes."""
    for line in lines:
        try:
            kind, size, rest = line.split(" ", 2)
            path, _tab, detail = rest.partition("\t")
            if "\\" in rest:
                path = path.encode("ascii").decode("unicode_escape")
                detail = detail.encode("ascii").decode("unicode_escape")
            yield LayerEntry(kind, path, int(size), detail)
        except ValueError:
            raise LabError(
                "{line:.60} is no line of a layer's listing: record the lesson again.",
                line=repr(line),
            ) from None


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
            offset = source.position - len(header)
            problem = _("no tar archive as `docker save` writes it")
            if len(header) < BLOCK:
                problem = _("ends in the middle")
            elif offset:
                problem = _("damaged at byte {offset}", offset=offset)
            raise damaged(source.name, problem)
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
    """A member's path below the root, where ".." stops, as in a chroot; without "/" at its ends."""
    return posixpath.normpath(f"/{name}").lstrip("/")


def _number(field: bytes) -> int:
    """Octal digits, or GNU's base-256 if the first bit is set (-1 for any negative one)."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    return int(field.strip(b" \0") or b"0", 8)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _extended_records(flag: bytes, length: int, source: Source) -> dict[str, str]:
    r"""What such a header's data tells, by pax keyword. ValueError if it makes no sense.

    A record of pax has the form "length keyword=value\n".
    """
    if length > RECORD:
        problem = _("has a name of {length} bytes, more than any system takes", length=length)
        raise damaged(source.name, problem)
    data = source.read(length)
    if len(data) < length:
        raise damaged(source.name, _("ends in the middle"))
    if flag in GNU_LONG:
        return {GNU_LONG[flag]: _text(data)}
    records: dict[str, str] = {}
    start = 0
    while flag == PAX and start < len(data):
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
    if path.endswith("/") and flag in (b"0", b"\0"):
        kind = "d"  # as before POSIX, when folders had no flag of their own
    detail = ""
    if kind == "d":
        uid = extended.get("uid") or _number(header[Ustar.UID])
        gid = extended.get("gid") or _number(header[Ustar.GID])
        detail = f"{_number(header[Ustar.MODE]) & 0o7777:o}:{uid}:{gid}"
    elif kind in ("h", "l"):
        detail = extended.get("linkpath", _text(header[Ustar.LINK]))
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
    return extended.get("GNU.sparse.name", extended.get("path", path)) if extended else path


def _sizes(header: bytes, kind: str, extended: dict[str, str], source: Source) -> tuple[int, int]:
    """Bytes of data behind a header, and what `ls -l` shows: more for a sparse file."""
    stored = _number(header[Ustar.SIZE])
    if extended:
        stored = int(extended.get("size", stored))
    if kind != "f":
        return 0, 0
    size = stored
    if header[Ustar.TYPEFLAG] == GNU_SPARSE:
        size = _number(header[Ustar.REAL_SIZE])
        continued = header[Ustar.CONTINUED]
        while continued.strip(b"\0"):
            continued = source.read(BLOCK)[Ustar.CONTINUED_AGAIN]
    elif extended:
        size = int(extended.get("GNU.sparse.realsize", extended.get("GNU.sparse.size", stored)))
    if not (0 <= stored < TOO_BIG and 0 <= size < TOO_BIG):
        raise ValueError
    return stored, size
