"""Image archives (`docker save`, OCI layouts) read as streams of tar headers; nothing is ever extracted.

Of a plain file only headers are read and data is skipped, so memory does not grow with the archive. Whatever is
wrong with one is a LabError in one line. That a layer's bytes hash to its digest is not verified.
"""
from __future__ import annotations

import gzip
import json
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, BinaryIO, TypeVar, cast

from labkit.commands import LabError
from labkit.layers import BUDGET, Entry, Image, Thing, entries, listing

T = TypeVar("T")
NAME, RECORD, JSON = 4096, 1 << 20, 16 << 20  # longest path (PATH_MAX), tar record about a name, JSON: bytes
INFLATED, RATIO = 1 << 30, 200  # refused as a bomb: data that grows beyond both, in bytes and in times
# POSIX pax, "ustar Interchange Format"; other flags are files. "S" is GNU's sparse file.
KINDS = {0: "f", 48: "f", 49: "h", 50: "l", 51: "c", 52: "b", 53: "d", 54: "p", 55: "f", 83: "f"}
RECORDS = b"gxXLK"
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def _shown(text: str) -> str:
    """A name from an archive, safe to print."""
    from labkit.trees import clean, shorten

    return shorten(clean(text[:NAME]), 80)


class Meter:
    """How far the data of one archive grows when inflated."""

    def __init__(self, packed: int = 0) -> None:
        self.packed, self.inflated = packed, 0

    def count(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.packed += len(chunk)
            yield chunk

    def grow(self, name: str, size: int) -> None:
        self.inflated += size
        if self.inflated > INFLATED and self.inflated > RATIO * self.packed:
            raise LabError(f"{name}: inflates to more than {RATIO} times its size, as a bomb does; not read further.")


class Source:
    """Bytes read forwards; `at` is how many were taken."""

    def __init__(self, name: str) -> None:
        self.name, self.at = name, 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        raise NotImplementedError

    def peek(self, size: int) -> bytes:
        """What `read` would return, without taking it."""
        raise NotImplementedError

    def skip(self, size: int) -> None:
        """LabError if there is not so much."""
        while size:
            taken = len(self.read(min(size, 1 << 18)))
            if not taken:
                raise self.cut()
            size -= taken

    def cut(self) -> LabError:
        return LabError(f"{self.name}: ends in the middle, so the copy is not complete: save or copy it again.")


class Slice(Source):
    """A stretch of a file; skipping costs nothing."""

    def __init__(self, file: BinaryIO, start: int, size: int, name: str) -> None:
        super().__init__(name)
        self.file, self.start, self.size = file, start, size

    def read(self, size: int) -> bytes:
        data = self.peek(size)
        self.at += len(data)
        return data

    def peek(self, size: int) -> bytes:
        self.file.seek(self.start + self.at)
        return self.file.read(min(size, self.size - self.at))

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > self.size:
            raise self.cut()


class Stream(Source):
    """Chunks of bytes, from an engine or a decompressor."""

    def __init__(self, chunks: Iterator[bytes], name: str) -> None:
        super().__init__(name)
        self.chunks, self.have, self.used = chunks, b"", 0

    def peek(self, size: int) -> bytes:
        if self.used + size > len(self.have):
            parts = [self.have[self.used:]]
            lacking = size - len(parts[0])
            while lacking > 0 and (chunk := next(self.chunks, None)) is not None:
                parts.append(chunk)
                lacking -= len(chunk)
            self.have, self.used = b"".join(parts), 0
        return self.have[self.used:self.used + size]

    def read(self, size: int) -> bytes:
        data = self.peek(size)
        self.used += len(data)
        self.at += len(data)
        return data


class Part(Source):
    """The next `size` bytes of another source."""

    def __init__(self, whole: Source, size: int, name: str) -> None:
        super().__init__(name)
        self.whole, self.end = whole, whole.at + size

    def read(self, size: int) -> bytes:
        return self.whole.read(min(size, self.end - self.whole.at))

    def peek(self, size: int) -> bytes:
        return self.whole.peek(min(size, self.end - self.whole.at))


def inflate(source: Source, meter: Meter) -> Source:
    """The source itself, or what its gzip or zstd holds."""
    magic, errors = source.peek(4), cast("tuple[type[Exception], ...]", (OSError, EOFError, zlib.error))
    reader: Any
    if magic[:2] == GZIP:
        reader = gzip.GzipFile(fileobj=cast(Any, source))
    elif magic == ZSTD:
        try:
            import zstandard
        except ImportError:
            raise LabError(f"{source.name} is compressed with zstd: `pip install zstandard` and try again.") from None
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
            cast(Any, source), read_across_frames=True)
        errors = (zstandard.ZstdError,)
    else:
        return source

    def chunks() -> Iterator[bytes]:
        while True:
            try:
                data = reader.read(1 << 18)
            except errors as error:
                raise LabError(f"{source.name}: its compressed data is damaged ({_shown(str(error))}); "
                               "save or copy it again.") from None
            if not data:
                return
            meter.grow(source.name, len(data))
            yield data

    return Stream(chunks(), source.name)


def _number(field: bytes) -> int:
    """A tar number: octal, or GNU's base-256 when the first bit is set."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    return int(field.strip(b" \0") or b"0", 8)


def _sound(block: bytes) -> bool:
    """Is the header's checksum right? The low half of Adler-32 is 1 + the sum of all bytes, modulo 65521."""
    stored = block[148:156]
    total = (zlib.adler32(block) & 0xFFFF) - (zlib.adler32(stored) & 0xFFFF) + 8 * 32
    try:
        return (total - _number(stored)) % 65521 == 0
    except ValueError:
        return False


def _pax(data: bytes) -> dict[str, str]:
    """The records "length key=value\\n" of a pax header. ValueError if they are not of that form."""
    found, at = {}, 0
    while at < len(data):
        space = data.index(b" ", at)
        end = at + int(data[at:min(space, at + 9)])
        key, equals, value = data[space + 1:end].partition(b"=")
        if not space < end <= len(data) or not equals or value[-1:] != b"\n":
            raise ValueError("pax record")
        if key in (b"path", b"linkpath", b"size", b"uid", b"gid") or key.startswith(b"GNU.sparse."):
            found[key.decode()] = value[:-1].decode("utf-8", "surrogateescape")
        at = end
    return found


def clean_path(name: str) -> str:
    """A member's path below the root: ".." stops there, as in a chroot; no leading, trailing or double "/"."""
    name = name.removeprefix("./").removesuffix("/")
    if "/." in name or "//" in name or name[:1] in ("/", ".") or name[-1:] == "/":
        parts: list[str] = []
        for part in name.split("/"):
            if part == "..":
                del parts[-1:]
            elif part not in ("", "."):
                parts.append(part)
        return "/".join(parts)
    return name


def members(source: Source) -> Iterator[Entry]:
    """The members of a tar: at each `yield` the source stands at its data. LabError if it is not a sound tar.

    Formats: POSIX ustar and pax; GNU long names, base-256 numbers, sparse files (whose size is that of `ls -l`).
    """
    pad, extra = 0, dict[str, str]()
    while True:
        block = source.read(pad + 512)[pad:]
        if len(block) < 512:
            if block:
                raise source.cut()
            return
        if not block[0] and not block.strip(b"\0"):
            return
        if not _sound(block):
            raise LabError(f"{source.name}: " + (
                "is not a tar archive; give it what `docker save` wrote." if source.at == 512 else
                f"damaged at byte {source.at - 512}, where a file's header should be; save or copy it again."))
        try:
            flag, stored = block[156], _number(block[124:136])
            kind, text = KINDS.get(flag, "f"), ""
            if flag in RECORDS:
                if stored > RECORD:
                    raise LabError(f"{source.name}: a name of {stored} bytes, more than any system takes; not read.")
                data, pad = source.read(stored), -stored % 512
                if len(data) < stored:
                    raise source.cut()
                if flag in b"xX":  # "g", defaults for all members, Docker ignores too
                    extra.update(_pax(data))
                elif flag in b"LK":
                    name = data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
                    extra["path" if flag == 76 else "linkpath"] = name
                continue
            field = block[:100].partition(b"\0")[0]
            if block[345] and block[257:263] == b"ustar\0":
                field = block[345:500].partition(b"\0")[0] + b"/" + field
            path = field.decode("utf-8", "surrogateescape")
            if kind in "hl":
                text = block[157:257].partition(b"\0")[0].decode("utf-8", "surrogateescape")
            uid = gid = 0
            if kind == "d" or (kind == "f" and path[-1:] == "/" and flag in (0, 48)):  # the latter before POSIX
                kind, uid, gid = "d", _number(block[108:116]), _number(block[116:124])
            if extra:
                stored = int(extra.get("size", stored))
                path, text = extra.get("GNU.sparse.name", extra.get("path", path)), extra.get("linkpath", text)
                uid, gid = int(extra.get("uid", uid)), int(extra.get("gid", gid))
                if len(path) > NAME or len(text) > NAME:
                    raise LabError(f"{source.name}: a path of {max(len(path), len(text))} characters, more than the "
                                   f"{NAME} that Linux takes; not read.")
            if kind != "f":
                stored = 0
            size = stored
            if extra:
                size = int(extra.get("GNU.sparse.realsize", extra.get("GNU.sparse.size", size)))
                extra = {}
            if flag == 83:
                size, more = _number(block[483:495]), block[482]
                while more:
                    more = source.read(512)[504:505] not in (b"", b"\0")
            if not (0 <= stored < 1 << 63 and 0 <= size < 1 << 63):
                raise ValueError("size")
            if kind == "d":
                text = f"{_number(block[100:108]) & 0o7777:o}:{uid}:{gid}"
        except ValueError:
            raise LabError(f"{source.name}: the header at byte {source.at - 512} makes no sense; "
                           "save or copy it again.") from None
        if kind == "h":
            text = clean_path(text)
        end, pad = source.at + stored, -stored % 512
        yield kind, clean_path(path), size, text
        source.skip(end - source.at)


class Store:
    """Files by name, wherever they are."""

    def __init__(self, name: str, meter: Meter) -> None:
        self.name, self.meter = name, meter

    def has(self, path: str) -> bool:
        raise NotImplementedError

    def bytes(self, path: str) -> bytes:
        """A whole small file."""
        raise NotImplementedError

    def layer(self, path: str) -> Iterable[Entry]:
        raise NotImplementedError

    def lacks(self, path: str) -> LabError:
        return LabError(f"{self.name}: {_shown(path)} is named in it but missing (or a link in a circle); "
                        "save or copy it again.")

    def json(self, path: str, kind: type[T]) -> T:
        """A JSON object or list. LabError if it is another thing."""
        return self.parse(path, self.bytes(path), kind)

    def parse(self, path: str, data: bytes, kind: type[T]) -> T:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, kind):
            raise LabError(f"{self.name}: {_shown(path)} is not the JSON that it should be; save the image again.")
        return value


def _follow(table: dict[str, tuple[str, T, str]], path: str) -> T | None:
    """What a member's name leads to through links among members, at most 40 (as Linux); None if nowhere."""
    path = clean_path(path)
    for _ in range(40):
        kind, value, text = table.get(path, ("", None, ""))
        if kind == "f":
            return value
        path = text if kind == "h" else clean_path(text if text[:1] == "/" else f"{path}/../{text}")
    return None


class Opened(Store):
    """A plain tar, or a layout's folder: files that can be read anywhere."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(name, Meter())
        self.path, self.folder, self.seen = os.path.realpath(path), os.path.isdir(path), set[str]()
        self.table: dict[str, tuple[str, tuple[int, int], str]] = {}
        if not self.folder:
            self.meter.packed = size = os.path.getsize(path)
            with open(path, "rb", buffering=0) as file:
                whole = Slice(cast(BinaryIO, file), 0, size, name)
                self.table = {path: (kind, (whole.at, size), text) for kind, path, size, text in members(whole)}

    def _at(self, path: str) -> tuple[str, int, int] | None:
        """The file that holds it, its start and size."""
        if not self.folder:
            return (self.path, *found) if (found := _follow(self.table, path)) else None
        real = os.path.realpath(os.path.join(self.path, clean_path(path)))
        inside = real.startswith(os.path.join(self.path, "")) and os.path.isfile(real)
        return (real, 0, os.path.getsize(real)) if inside else None

    def has(self, path: str) -> bool:
        return self._at(path) is not None

    def _open(self, path: str) -> tuple[BinaryIO, Slice]:
        found = self._at(path)
        if not found:
            raise self.lacks(path)
        if self.folder and found[0] not in self.seen:
            self.seen.add(found[0])
            self.meter.packed += found[2]
        file = cast(BinaryIO, open(found[0], "rb", buffering=0))  # noqa: SIM115
        return file, Slice(file, found[1], found[2], f"{self.name}: {_shown(path)}")

    def bytes(self, path: str) -> bytes:
        file, source = self._open(path)
        with file:
            if source.size > JSON:
                raise LabError(f"{source.name} has {source.size} bytes, too many for a description of an image.")
            return source.read(JSON)

    def layer(self, path: str) -> Iterator[Entry]:
        try:
            file, source = self._open(path)
            with file:
                yield from members(inflate(source, self.meter))
        except OSError as error:
            raise LabError(f"{self.name}: cannot be read: {error.strerror}.") from None


class Streamed(Store):
    """What a stream held. Which files are layers is told at its end, so a listing of every tar in it is kept."""

    def __init__(self, chunks: Iterable[bytes], name: str) -> None:
        super().__init__(name, Meter())
        self.left = BUDGET
        self.table: dict[str, tuple[str, list[str] | bytes | LabError | None, str]] = {}
        whole = inflate(Stream(self.meter.count(chunks), name), self.meter)
        for kind, path, size, text in members(whole):
            part = Part(whole, size, f"{name}: {_shown(path)}")
            self.table[path] = (kind, self._keep(part, size) if kind == "f" else None, text)

    def _spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise LabError(f"{self.name}: holds more names than an image can sensibly have; not read further.")

    def _keep(self, part: Part, size: int) -> list[str] | bytes | LabError | None:
        self._spend(500)
        head = part.peek(512)
        if head[:1] in (b"{", b"[") and size <= JSON and not (len(head) == 512 and _sound(head)):
            self._spend(size)
            return part.read(size)
        if head[:2] != GZIP and head[:4] != ZSTD and head.strip(b"\0") and not (len(head) == 512 and _sound(head)):
            return None
        lines: list[str] = []
        try:
            for line in listing(members(inflate(part, self.meter))):
                self._spend(len(line) + 60)
                lines.append(line)
        except LabError as error:
            return error  # it matters only if it is a layer of the image
        return lines

    def has(self, path: str) -> bool:
        return _follow(self.table, path) is not None

    def bytes(self, path: str) -> bytes:
        found = _follow(self.table, path)
        if not isinstance(found, bytes):
            raise self.lacks(path)
        return found

    def lines(self, path: str) -> list[str]:
        found = _follow(self.table, path)
        if isinstance(found, LabError):
            raise found
        if not isinstance(found, list):
            raise self.lacks(path)
        return found

    def layer(self, path: str) -> Iterable[Entry]:
        return entries(self.lines(path))
