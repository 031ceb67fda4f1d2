"""What stands in a layer's tar, a line a member: the form in which recordings keep it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from labkit.errors import LabError


class LayerEntry(NamedTuple):
    """A member of a layer's tar.

    ``kind``: f file, d folder, l symbolic link, h hard link, c and b devices, p pipe.
    ``path``: from the root, without a leading "/". ``size``: in bytes.
    ``detail``: a link's target, or a folder's "mode:uid:gid" (octal:decimal:decimal).
    """

    kind: str
    path: str
    size: int
    detail: str


def write_listing(entries: Iterable[LayerEntry]) -> Iterator[str]:
    """One line per entry: "kind size path", then a tab and the detail if any.

    For JSON that people read: what cannot be printed stands as Python's escapes.
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
                path = _unescape(path)
                detail = _unescape(detail)
            yield LayerEntry(kind, path, int(size), detail)
        except ValueError:
            raise LabError(
                "{line:.60} is no line of a layer's listing: record the lesson again.",
                line=repr(line),
            ) from None


def _unescape(text: str) -> str:
    return text.encode("ascii").decode("unicode_escape")
