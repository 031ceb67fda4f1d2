"""Image archives (`docker save`, OCI layouts) read as streams of tar headers; nothing is ever extracted.

Of a plain file only headers are read, so memory does not grow with the archive. Whatever is wrong with one is a
LabError in one line. That bytes hash to their digests is not verified.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar, cast

from labkit.docker.command_line import full_name
from labkit.docker.layers import NAMES, Entry, Image, entries, listing
from labkit.errors import LabError

T = TypeVar("T")
PATH, RECORD, JSON = (
    4096,
    1 << 20,
    16 << 20,
)  # bytes: longest path (Linux: PATH_MAX), tar record about a name, JSON
INFLATED, RATIO = 1 << 30, 200  # data that grows beyond both, in bytes and in times, is a bomb
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
KINDS = {
    49: "h",
    50: "l",
    51: "c",
    52: "b",
    53: "d",
    54: "p",
}  # by type flag (POSIX pax, ustar); the rest are files
PAX, GLOBAL, SPARSE, LONG = (
    120,
    103,
    83,
    {75: "linkpath", 76: "path"},
)  # x g S K L: pax; tar(5), GNU extensions


def _shown(text: str) -> str:
    """A name from an archive, safe to print."""
    if text.isprintable() and len(text) < 80:
        return text
    from labkit.show.text import clean, shorten  # late, and rarely: time and memory

    return shorten(clean(text[:PATH]), 80)


class Source:
    """At most `size` bytes read forwards; `at` is how many were taken. `seek`, if any, makes skipping free."""

    def __init__(
        self,
        name: str,
        read: Callable[[int], bytes],
        size: int = 1 << 63,
        seek: Callable[[int, int], int] | None = None,
    ) -> None:
        self.name, self._read, self.left, self._seek, self.at, self._ahead = (
            name,
            read,
            size,
            seek,
            0,
            b"",
        )

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        while len(data) < size and (more := self._read(min(size - len(data), self.left))):
            self.left -= len(more)
            data += more
        self.at += len(data)
        return data

    def peek(self, size: int) -> bytes:
        """What `read` will return, without taking it."""
        data = self.read(size)
        self._ahead, self.at = data + self._ahead, self.at - len(data)
        return data

    def skip(self, size: int) -> None:
        """Leave out what is of no interest. LabError if it is not all there."""
        if self._seek and not self._ahead and size <= self.left:
            self._seek(size, os.SEEK_CUR)
            self.left, self.at, size = self.left - size, self.at + size, 0
        while size:
            size -= len(self.read(min(size, 1 << 18))) or self.wrong("ends in the middle")

    def wrong(self, what: str) -> int:
        raise LabError(f"{self.name}: {what}; save or copy the image again.")


def _number(field: bytes) -> int:
    """A tar number: octal, or GNU's base-256 when the first bit is set (-1 for a negative one)."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    return int(field.strip(b" \0") or b"0", 8)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _sound(block: bytes) -> bool:
    """Is the header's checksum right? The low half of Adler-32 is 1 + the sum of all bytes, modulo 65521 (RFC 1950)."""
    total = (zlib.adler32(block) & 0xFFFF) - (zlib.adler32(block[148:156]) & 0xFFFF) + 8 * 32
    try:
        return len(block) == 512 and (total - _number(block[148:156])) % 65521 == 0
    except ValueError:
        return False


def _pax(data: bytes) -> dict[str, str]:
    """The records "length key=value\\n" of a pax header. ValueError if it has another form."""
    found, at = {}, 0
    while at < len(data):
        space = data.index(b" ", at, at + 9)
        end = at + int(data[at:space])
        key, equals, value = data[space + 1 : end].partition(b"=")
        if not space < end <= len(data) or not equals or value[-1:] != b"\n":
            raise ValueError
        found[_text(key)] = _text(value[:-1])
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
    """The members of a tar; at each `yield` the source stands at its data. LabError if it is not a sound tar.

    Formats: POSIX ustar and pax; GNU long names, base-256 numbers, sparse files (with their size in `ls -l`).
    """
    pad, extra = 0, dict[str, str]()
    while True:
        block = source.read(pad + 512)[pad:]
        if not block or (block[0] == 0 and not block.strip(b"\0")):
            return
        if not _sound(block):
            source.wrong(
                "ends in the middle"
                if len(block) < 512
                else f"damaged at byte {source.at - 512}"
                if source.at > 512
                else "no tar archive as `docker save` writes it"
            )
        try:
            flag, stored = block[156], _number(block[124:136])
            if flag in LONG or flag in (PAX, GLOBAL):
                if stored > RECORD:
                    source.wrong(f"has a name of {stored} bytes, more than any system takes")
                data, pad = source.read(stored), -stored % 512
                if len(data) < stored:
                    source.wrong("ends in the middle")
                if flag != GLOBAL:  # defaults for all members, which Docker ignores too
                    extra.update(_pax(data) if flag == PAX else {LONG[flag]: _text(data)})
                continue
            kind, path, link = KINDS.get(flag, "f"), _text(block[:100]), ""
            if block[345] and block[257:263] == b"ustar\0":
                path = f"{_text(block[345:500])}/{path}"
            if kind in "hl":
                link = _text(block[157:257])
            if extra:
                path, link = (
                    extra.get("GNU.sparse.name", extra.get("path", path)),
                    extra.get("linkpath", link),
                )
                if len(path) > PATH or len(link) > PATH:
                    source.wrong(f"has a path longer than the {PATH} bytes that Linux takes")
                stored = int(extra.get("size", stored))
            if path[-1:] == "/" and flag in (0, 48):
                kind = "d"  # as before POSIX
            if kind == "d":
                uid, gid = (
                    extra.get("uid") or _number(block[108:116]),
                    extra.get("gid") or _number(block[116:124]),
                )
                link = f"{_number(block[100:108]) & 0o7777:o}:{uid}:{gid}"
            elif kind == "h":
                link = clean_path(link)
            stored = stored if kind == "f" else 0
            size = (
                int(extra.get("GNU.sparse.realsize", extra.get("GNU.sparse.size", stored)))
                if extra
                else stored
            )
            if flag == SPARSE:
                size, more = _number(block[483:495]), block[482]
                while more:
                    more = sum(source.read(512)[504:505])
            if not (0 <= stored < 1 << 63 and 0 <= size < 1 << 63):
                raise ValueError
        except ValueError:
            source.wrong(f"makes no sense at byte {source.at - 512}")
        end, pad, extra = source.at + stored, -stored % 512, {}
        yield kind, clean_path(path), size, link
        source.skip(end - source.at)


# Where a file is (path, start, size); or, of a stream, what it held: JSON, the listing of a tar, or what is wrong.
Found = tuple[str, int, int] | bytes | list[str] | LabError | None


class Store:
    """The files of one archive or layout by name."""

    def __init__(self, name: str) -> None:
        self.name, self.folder, self.packed, self.inflated, self._names = name, "", 0, 0, NAMES
        self.table: dict[str, tuple[str, Found, str]] = {}  # kind, file, link

    @classmethod
    def open(cls, path: str, name: str) -> Store:
        """A layout's folder or a plain tar."""
        store = cls(name)
        if os.path.isdir(path):
            store.folder = os.path.join(os.path.realpath(path), "")
            return store
        with open(path, "rb", buffering=0) as file:
            store.packed = os.path.getsize(path)
            whole = Source(name, file.read, store.packed, file.seek)
            for kind, member, size, link in members(whole):
                store._count(500)
                store.table[member] = kind, (path, whole.at, size) if kind == "f" else None, link
        return store

    @classmethod
    def stream(cls, chunks: Iterable[bytes], name: str) -> Store:
        """Which of its files are layers a stream tells at its end, so a listing of each tar in it is kept."""
        store = cls(name)
        parts, rest = iter(chunks), memoryview(b"")

        def read(size: int) -> bytes:
            nonlocal rest
            while not rest and (chunk := next(parts, None)) is not None:
                store.packed, rest = store.packed + len(chunk), memoryview(chunk)
            data, rest = bytes(rest[:size]), rest[size:]
            return data

        whole = store.inflate(Source(name, read))
        for kind, member, size, link in members(whole):
            store._count(500)
            part = Source(f"{name}: {_shown(member)}", whole.read, size)
            store.table[member] = kind, store._keep(part) if kind == "f" else None, link
        return store

    def _count(self, characters: int) -> None:
        self._names -= characters
        if self._names < 0:
            raise LabError(
                f"{self.name}: holds more names than an image can sensibly have; not read further."
            )

    def _keep(self, part: Source) -> Found:
        head, lines = part.peek(512), list[str]()
        if (
            not _sound(head)
            and head[:2] != GZIP
            and head[:4] != ZSTD
            and (head.strip(b"\0") or not head)
        ):
            data = part.read(JSON) if head[:1] in (b"", b"{", b"[") else None
            self._count(len(data or b""))
            return data
        try:
            for line in listing(members(self.inflate(part))):
                self._count(len(line) + 100)
                lines.append(line)
        except LabError as error:
            return error  # it matters only if it is a layer
        return lines

    def inflate(self, source: Source) -> Source:
        """The source itself, or what its gzip or zstd holds."""
        magic, file, errors = source.peek(4), cast(Any, source), cast("type[Exception]", zlib.error)
        if magic[:2] == GZIP:
            reader: Any = gzip.GzipFile(fileobj=file)
        elif magic == ZSTD:
            import zstandard  # late: few images need it

            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            errors = zstandard.ZstdError
        else:
            return source

        def read(size: int) -> bytes:
            try:
                data: bytes = reader.read(size)
            except (OSError, EOFError, errors) as error:
                source.wrong(f"is damaged ({_shown(str(error))})")
            if (
                magic == ZSTD and size and not data
            ):  # zstandard does not tell an unfinished frame from an end
                source.wrong("ends in the middle")
            self.inflated += len(data)
            if self.inflated > max(INFLATED, RATIO * self.packed):
                source.wrong(f"inflates to more than {RATIO} times its size, as a bomb does")
            return data

        return Source(source.name, read)

    def find(self, path: str) -> Found:
        """What a name leads to, through at most 40 links (as in Linux); None if nowhere or out of the store."""
        path = clean_path(path)
        if self.folder and path not in self.table and path.isprintable():
            real = os.path.realpath(self.folder + path)
            if real.startswith(self.folder) and os.path.isfile(real):
                size = os.path.getsize(real)
                self.table[path], self.packed = ("f", (real, 0, size), ""), self.packed + size
        for _ in range(40):
            kind, found, link = self.table.get(path, ("", None, ""))
            if kind not in ("h", "l"):
                return found
            path = (
                link
                if kind == "h"
                else clean_path(link if link[:1] == "/" else f"{path}/../{link}")
            )
        return None

    def wrong(self, what: str) -> LabError:
        return LabError(f"{self.name}: {what}; save or copy the image again.")

    def layer(self, path: str) -> Iterator[Entry]:
        """The members of a layer's tar."""
        found = self.find(path)
        if isinstance(found, LabError):
            raise found
        if isinstance(found, list):
            yield from entries(found)
        elif found == b"":
            return
        elif isinstance(found, tuple):
            try:
                with open(found[0], "rb", buffering=0) as file:
                    file.seek(found[1])
                    source = Source(f"{self.name}: {_shown(path)}", file.read, found[2], file.seek)
                    yield from members(self.inflate(source))
            except OSError as error:
                raise self.wrong(f"cannot be read ({error.strerror})") from None
        else:
            raise self.wrong(f"{_shown(path)} is named in it but is not there")

    def content(self, path: str) -> bytes:
        """A small file."""
        found = self.find(path)
        if isinstance(found, tuple):
            with open(found[0], "rb") as file:
                file.seek(found[1])
                found = file.read(min(found[2], JSON))
        if not isinstance(found, bytes):
            raise self.wrong(f"{_shown(path)} is named in it but is not there")
        if len(found) == JSON:
            raise self.wrong(f"{_shown(path)} is longer than any description of an image")
        return found

    def record(self, path: str, kind: type[T]) -> T:
        """A file with a JSON object or list."""
        try:
            value = json.loads(self.content(path))
        except (ValueError, RecursionError):
            value = None
        return self.get({path: value}, path, kind)

    def get(self, thing: object, key: str, kind: type[T], default: T | None = None) -> T:
        """A field of a JSON object; the default also stands for null. LabError if it is of another kind."""
        value = thing.get(key) if isinstance(thing, dict) else None
        value = default if value is None else value
        if not isinstance(value, kind):
            raise self.wrong(f"{_shown(key)} is not the JSON {kind.__name__} it should be")
        return value

    def strings(self, thing: object, key: str) -> list[str]:
        """A field that is a list of strings; empty if there is none."""
        return [self.get({key: text}, key, str) for text in self.get(thing, key, list, [])]

    def blob(self, row: object) -> str:
        """The file of what a descriptor names (OCI image-spec, image-layout.md)."""
        return "blobs/" + self.get(row, "digest", str).replace(":", "/", 1)

    def platform(self, rows: list[Any]) -> Any:
        """Of an index's images the one for Linux on this processor, else the first; attestations are none."""
        import platform

        machine = platform.machine().lower()
        here = {
            "os": "linux",
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
        }
        about = [(row, self.get(row, "platform", dict, {})) for row in rows]
        images = [row for row, what in about if what.get("os") != "unknown"]
        return next(
            (row for row, what in about if what | here == what), images[0] if images else None
        )

    def choose(self, ref: str | None) -> tuple[str, str, list[str]]:
        """The image called `ref`, by default the first: its name, its config's file and its layers'."""
        images: list[tuple[list[str], str, Any]] = []  # names, file, description
        docker = self.find("manifest.json") is not None
        if docker:
            for row in self.record("manifest.json", list):
                images.append((self.strings(row, "RepoTags"), self.get(row, "Config", str), row))
        elif self.find("index.json") is not None:
            for row in self.get(self.record("index.json", dict), "manifests", list):
                notes = self.get(row, "annotations", dict, {})
                keys = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
                images.append(
                    (
                        [self.get(notes, key, str) for key in keys if key in notes],
                        self.blob(row),
                        row,
                    )
                )
        else:
            raise LabError(
                f"{self.name}: no image archive, for it has no manifest.json and no index.json (nor has what"
                " `docker export` writes); make one with `docker save -o FILE IMAGE`."
            )
        known = ", ".join(_shown((names or [file])[0]) for names, file, _ in images[:10])
        if ref is not None:
            short = ref.removeprefix("sha256:")
            images = [
                image
                for image in images
                if any(full_name(name) == full_name(ref) for name in image[0])
                or (len(short) > 5 and image[1].rpartition("/")[2].startswith(short))
            ]
        row = images[0][2] if docker and images else self.platform([row for _, _, row in images])
        if row is None:
            raise LabError(
                f"{self.name}: has no image {_shown(ref or '')}; choose one of: {known or 'none at all'}."
            )
        name = next(
            _shown((names or [self.name])[0]) for names, _, chosen in images if chosen is row
        )
        if docker:
            return name, self.get(row, "Config", str), self.strings(row, "Layers")
        for _ in range(8):
            row = self.record(self.blob(row), dict)
            if "manifests" not in row:
                return (
                    name,
                    self.blob(self.get(row, "config", dict)),
                    [*map(self.blob, self.get(row, "layers", list))],
                )
            row = self.platform(self.get(row, "manifests", list))
        raise self.wrong("its index leads to an index, and so on in a circle")

    def image(self, ref: str | None) -> Image:
        """The image called `ref`, by default the first."""
        name, file, layers = self.choose(ref)
        config = self.record(file, dict)
        diff_ids = self.strings(self.get(config, "rootfs", dict), "diff_ids")
        if len(layers) != len(diff_ids):
            raise self.wrong(f"has {len(layers)} layers, but its config names {len(diff_ids)}")
        history = [
            {
                "created_by": self.get(step, "created_by", str, "")
                or self.get(step, "comment", str, ""),
                "empty": self.get(step, "empty_layer", bool, False),
            }
            for step in self.get(config, "history", list, [])
        ]
        digest = hashlib.sha256(self.content(file)).hexdigest()
        return Image(
            name,
            f"sha256:{digest}",
            {"diff_ids": diff_ids, "history": history},
            [partial(self.layer, path) for path in layers],
        )


def read_stream(chunks: Iterable[bytes], name: str, ref: str | None = None) -> Image:
    """An image from the bytes of an archive, such as an engine's `docker save`. Raises LabError."""
    return Store.stream(chunks, name).image(ref)


def read_image(path: str | os.PathLike[str], ref: str | None = None) -> Image:
    """An image from an archive or a layout's folder; of several the first, or the one called `ref`. Raises LabError."""
    path = os.fspath(path)
    name = _shown(os.path.basename(os.path.abspath(path)))
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISDIR(mode):
            with open(path, "rb") as file:
                magic = (
                    file.peek(4) if stat.S_ISREG(mode) else GZIP
                )  # a pipe, as in `<(docker save …)`
                if magic[:2] == GZIP or magic[:4] == ZSTD:
                    return read_stream(iter(partial(file.read, 1 << 18), b""), name, ref)
        return Store.open(path, name).image(ref)
    except OSError as error:
        raise LabError(f"{_shown(path)}: cannot be read: {error.strerror}.") from None
