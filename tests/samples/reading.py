"""Archives read as a test asks: one layer's tree, or the one line that refuses a bad one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from samples import archives as c

from labkit.docker.archives import read_image, read_stream
from labkit.docker.layers import Image
from labkit.docker.rootfs import File
from labkit.errors import LabError

Tree = dict[str, tuple[str, int, str]]


def tree(image: Image, n: int | None = None) -> Tree:
    """By path: kind, size, link."""
    return {
        path: (node.kind, node.size, node.link) if isinstance(node, File) else ("d", 0, "")
        for path, node in image.root(n).walk()
    }


def one_layer(layer: bytes) -> Image:
    return read_stream([c.tar(c.oci(c.image(layer)))], "x")


def refused(source: Path | bytes, *words: str) -> None:
    """One short printable line with these words, from the file and from a stream."""
    readers: list[Callable[[], Image]] = []
    if isinstance(source, Path):
        readers.append(lambda: read_image(source))
    if isinstance(source, bytes) or source.is_file():
        raw = source if isinstance(source, bytes) else source.read_bytes()
        chunks = [raw[start : start + (1 << 16)] for start in range(0, len(raw), 1 << 16)]
        readers.append(lambda: read_stream(chunks, "x"))
    for reader in readers:
        with pytest.raises(LabError) as error:
            reader()
        line = str(error.value)
        assert line.isprintable() and len(line) < 500 and line.encode("utf-8"), line
        assert all(word in line for word in words), line
