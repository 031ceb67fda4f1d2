"""Bytes read forwards, plain or compressed, and never more of them than there may be."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterable
from typing import IO, cast

from labkit.errors import LabError
from labkit.messages import _
from labkit.show.text import clean, shorten

GZIP = b"\x1f\x8b"  # how it begins: RFC 1952, 2.3.1
ZSTD = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1
# What inflates beyond both is a bomb.
INFLATED = 1 << 30  # bytes
RATIO = 200  # times its packed size
CHUNK = 1 << 18  # bytes skipped at once
MAX_PATH = 4096  # bytes: PATH_MAX of Linux

Read = Callable[[int], bytes]
Seek = Callable[[int, int], int]


def damaged(name: str, problem: str) -> LabError:
    """What is wrong with an archive, in a clause of its own."""
    return LabError("{name}: {problem}; save or copy the image again.", name=name, problem=problem)


def printable(name: str) -> str:
    """A name from an archive, safe to print in one line."""
    return shorten(clean(name[:MAX_PATH]), 80)


class Source:
    """At most ``size`` bytes read forwards; with a ``seek`` skipping is free."""

    def __init__(
        self, name: str, read: Read, size: int = 1 << 63, seek: Seek | None = None
    ) -> None:
        self.name = name  # what errors call it
        self.position = 0  # bytes taken
        self._read = read
        self._left = size
        self._seek = seek
        self._ahead = b""

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end."""
        data = self._ahead[:size]
        self._ahead = self._ahead[size:]
        while len(data) < size:
            more = self._read(min(size - len(data), self._left))
            if not more:
                break
            self._left -= len(more)
            data += more
        self.position += len(data)
        return data

    def peek(self, size: int) -> bytes:
        """What `read` will return, without taking it."""
        data = self.read(size)
        self._ahead = data + self._ahead
        self.position -= len(data)
        return data

    def skip(self, size: int) -> None:
        """Leave out what is of no interest. LabError if it is not all there."""
        if self._seek and not self._ahead and size <= self._left:
            self._seek(size, os.SEEK_CUR)
            self._left -= size
            self.position += size
            return
        while size:
            data = self.read(min(size, CHUNK))
            if not data:
                raise damaged(self.name, _("ends in the middle"))
            size -= len(data)


class Inflater:
    """Opens what is compressed with gzip or zstd, and stops at a bomb."""

    def __init__(self) -> None:
        self.packed = 0  # bytes that there are to be inflated
        self.inflated = 0  # bytes that came out

    def count(self, chunks: Iterable[bytes], name: str) -> Source:
        """A source of these bytes, which are counted as ``packed``."""
        remaining = filter(None, chunks)
        rest = memoryview(b"")

        def read(size: int) -> bytes:
            nonlocal rest
            if not rest:
                rest = memoryview(next(remaining, b""))
                self.packed += len(rest)
            data = bytes(rest[:size])
            rest = rest[size:]
            return data

        return Source(name, read)

    def open(self, source: Source) -> Source:
        """What the source holds when it is compressed, else the source itself."""
        packed = cast("IO[bytes]", source)
        magic = source.peek(4)
        if magic.startswith(GZIP):
            inflate: Read = gzip.GzipFile(fileobj=packed).read
            corrupt: type[Exception] = zlib.error
        elif magic == ZSTD:
            import zstandard  # late: few images need it

            unpacker = zstandard.ZstdDecompressor()
            inflate = unpacker.stream_reader(packed, read_across_frames=True).read
            corrupt = zstandard.ZstdError
        else:
            return source

        def read(size: int) -> bytes:
            try:
                data = inflate(size)
            except (OSError, EOFError, corrupt) as error:
                problem = _("is damaged ({error})", error=printable(str(error)))
                raise damaged(source.name, problem) from None
            if magic == ZSTD and size and not data:  # zstandard does not tell a frame cut short
                raise damaged(source.name, _("ends in the middle"))
            self.inflated += len(data)
            if self.inflated > max(INFLATED, RATIO * self.packed):
                problem = _("inflates to more than {n} times its size, as a bomb does", n=RATIO)
                raise damaged(source.name, problem)
            return data

        return Source(source.name, read)
