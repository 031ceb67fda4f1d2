"""The files of one image archive by name: of a tar, of a layout's folder, or of a stream."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from labkit.docker.listing import LayerEntry, read_listing, write_listing
from labkit.docker.rootfs import MAX_NAMES
from labkit.docker.streams import GZIP, ZSTD, Inflater, Read, Source, damaged, printable
from labkit.docker.tar import BLOCK, clean_path, is_header, members
from labkit.errors import LabError
from labkit.messages import _

MAX_JSON = 16 << 20  # bytes of a description
MAX_LINKS = 40  # followed one after another: as Linux, path_resolution(7)


class Slice(NamedTuple):
    """A file that lies in another one, or is all of it. In bytes."""

    path: str
    start: int
    size: int


# Where a file's bytes are; or, of a stream, what it held: a text, the listing of a tar, or what is
# wrong with it. None for what is neither.
Content = Slice | bytes | list[str] | LabError | None


class Member(NamedTuple):
    """What stands under a name. ``kind`` as in LayerEntry, ``link``: where a link leads."""

    kind: str
    link: str
    content: Content


_NOTHING = Member("", "", None)


class Store:
    """The files of one archive. ``name`` is what errors call it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._inflater = Inflater()
        self._members: dict[str, Member] = {}
        self._names_left = MAX_NAMES

    def find(self, path: str) -> Content:
        """What a name leads to, through links; None if nowhere, or out of the store."""
        path = clean_path(path)
        for _hop in range(MAX_LINKS):
            member = self._look_up(path)
            if member.kind == "h":
                path = member.link
            elif member.kind == "l":
                from_root = member.link.startswith("/")
                path = clean_path(member.link if from_root else f"{path}/../{member.link}")
            else:
                return member.content
        return None

    def layer(self, path: str) -> Iterator[LayerEntry]:
        """The members of a layer's tar. LabError if it is not there or not sound."""
        match self.find(path):
            case Slice() as place:
                yield from self._members_of(place, path)
            case list() as lines:
                yield from read_listing(lines)
            case LabError() as error:
                raise error
            case b"":
                return
            case _:
                raise self._absent(path)

    def text(self, path: str) -> bytes:
        """A small file. LabError if it is not there, or longer than MAX_JSON."""
        content = self.find(path)
        if isinstance(content, Slice):
            with open(content.path, "rb") as file:
                file.seek(content.start)
                content = file.read(min(content.size, MAX_JSON))
        if not isinstance(content, bytes):
            raise self._absent(path)
        if len(content) == MAX_JSON:
            path = printable(path)
            problem = _("{path} is longer than any description of an image", path=path)
            raise damaged(self.name, problem)
        return content

    def _look_up(self, path: str) -> Member:
        return self._members.get(path, _NOTHING)

    def _members_of(self, place: Slice, path: str) -> Iterator[LayerEntry]:
        name = f"{self.name}: {printable(path)}"
        try:
            with open(place.path, "rb", buffering=0) as file:
                file.seek(place.start)
                source = Source(name, file.read, place.size, file.seek)
                yield from members(self._inflater.open(source))
        except OSError as error:
            problem = _("cannot be read ({error})", error=error.strerror)
            raise damaged(self.name, problem) from None

    def _count(self, characters: int) -> None:
        self._names_left -= characters
        if self._names_left < 0:
            raise LabError(
                "{name}: holds more names than an image can sensibly have; not read further.",
                name=self.name,
            )

    def _absent(self, path: str) -> LabError:
        problem = _("{path} is named in it but is not there", path=printable(path))
        return damaged(self.name, problem)


class LayoutFolder(Store):
    """A folder with the files of an OCI layout, or of an archive unpacked."""

    def __init__(self, folder: str, name: str) -> None:
        super().__init__(name)
        self._folder = os.path.join(os.path.realpath(folder), "")

    def _look_up(self, path: str) -> Member:
        if path not in self._members and path.isprintable():
            real = os.path.realpath(self._folder + path)
            if real.startswith(self._folder) and os.path.isfile(real):
                size = os.path.getsize(real)
                self._inflater.packed += size
                self._members[path] = Member("f", "", Slice(real, 0, size))
        return super()._look_up(path)


class PlainTar(Store):
    """A tar that is not compressed: of its files only the places are kept."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(name)
        with open(path, "rb", buffering=0) as file:
            size = os.path.getsize(path)
            self._inflater.packed = size
            whole = Source(name, file.read, size, file.seek)
            for entry in members(whole):
                self._count(500)
                is_file = entry.kind == "f"
                content = Slice(path, whole.position, entry.size) if is_file else None
                self._members[entry.path] = Member(entry.kind, entry.detail, content)


class Stream(Store):
    """A tar that can be read only once.

    Which of its files are layers it tells at its end, so the listing of each tar in it is kept.
    """

    def __init__(self, chunks: Iterable[bytes], name: str) -> None:
        super().__init__(name)
        whole = self._inflater.open(Source(name, self._reader(chunks)))
        for entry in members(whole):
            self._count(500)
            content = None
            if entry.kind == "f":
                part = Source(f"{name}: {printable(entry.path)}", whole.read, entry.size)
                content = self._keep(part)
            self._members[entry.path] = Member(entry.kind, entry.detail, content)

    def _reader(self, chunks: Iterable[bytes]) -> Read:
        remaining = iter(chunks)
        rest = memoryview(b"")

        def read(size: int) -> bytes:
            nonlocal rest
            while not rest:
                chunk = next(remaining, None)
                if chunk is None:
                    return b""
                self._inflater.packed += len(chunk)
                rest = memoryview(chunk)
            data = bytes(rest[:size])
            rest = rest[size:]
            return data

        return read

    def _keep(self, part: Source) -> Content:
        """What may be asked of a file later: its text if it may be JSON, its listing if a tar."""
        head = part.peek(BLOCK)
        if _may_be_tar(head):
            return self._listing(part)
        if head[:1] not in (b"", b"{", b"["):
            return None
        text = part.read(MAX_JSON)
        self._count(len(text))
        return text

    def _listing(self, part: Source) -> list[str] | LabError:
        lines: list[str] = []
        try:
            for line in write_listing(members(self._inflater.open(part))):
                self._count(len(line) + 100)
                lines.append(line)
        except LabError as error:
            return error  # it matters only if it is a layer
        return lines


def _may_be_tar(head: bytes) -> bool:
    """Plain or compressed; an empty tar is all zeros."""
    if is_header(head) or head.startswith((GZIP, ZSTD)):
        return True
    return head != b"" and not head.strip(b"\0")
