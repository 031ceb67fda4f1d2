"""An image as a chain of layers: what each adds, changes and hides, and what of it is wasted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from labkit.docker.history import (
    ImageConfig,
    Json,
    align_history,
    chain_ids,
    decimal_size,
    instruction,
)
from labkit.docker.listing import LayerEntry, read_listing, write_listing
from labkit.docker.rootfs import Changes, FileOrFolder, Folder, RootFS
from labkit.errors import LabError
from labkit.messages import _
from labkit.show.text import clean, shorten

MAX_LAYERS = 1024  # more than an engine takes (Docker: 127)
_LONGEST = 72  # characters of an instruction in the table


class Layer(NamedTuple):
    """One step of an image.

    An ``empty`` one (CMD, ENV, …) has no diff_id, and the ChainID of the layer below it.
    ``size``: bytes of its files; ``added``, ``changed``, ``removed``: paths. A file is changed if
    the layer holds it again, even with the same bytes; a folder only if its mode or owner differs.
    """

    diff_id: str | None
    chain_id: str | None
    created_by: str
    empty: bool
    size: int
    added: list[str]
    changed: list[str]
    removed: list[str]

    @property
    def made_by(self) -> str:
        """Its instruction, safe to print."""
        return clean(instruction(self.created_by))

    @property
    def shown_size(self) -> str:
        return decimal_size(self.size)

    def row(self, number: int) -> list[str]:
        """Of the table of an image."""
        cells = ["", "", "", ""]
        if not self.empty:
            counts = [str(len(paths)) for paths in (self.added, self.changed, self.removed)]
            cells = [self.shown_size, *counts]
        return [str(number), *cells, shorten(self.made_by, _LONGEST)]


class Image:
    """An image taken apart into ``layers``; ``size`` and ``wasted`` in bytes.

    ``wasted``: bytes in layers that no name in the final root file system leads to;
    ``efficiency``: the other part of ``size``, 1.0 without bytes.
    """

    def __init__(
        self,
        name: str,
        id: str,
        config: ImageConfig,
        sources: Sequence[Callable[[], Iterable[LayerEntry]]],
    ) -> None:
        if len(sources) > MAX_LAYERS:
            raise LabError(
                "{name}: has {count} layers, and no engine takes more than {limit}; not read.",
                name=name,
                count=len(sources),
                limit=MAX_LAYERS,
            )
        self.name = name
        self.id = id
        self.config = config
        self._sources = sources  # of the entries of each layer, oldest first
        merged = RootFS()
        self.layers = self._lay(merged)
        self.size = sum(layer.size for layer in self.layers)
        visible = merged.visible()
        self.wasted = self.size - visible
        self.efficiency = visible / self.size if self.size else 1.0

    def _lay(self, merged: RootFS) -> list[Layer]:
        """Lay one layer upon another, and tell what each changes."""
        layers: list[Layer] = []
        chain = iter(chain_ids(self.config.diff_ids))
        sources = iter(self._sources)
        chain_id = None
        for step, diff_id in align_history(self.config.history, self.config.diff_ids):
            changes = Changes(0, [], [], [])
            if diff_id is not None:
                chain_id = next(chain)
                changes = merged.apply(next(sources)())
            empty = diff_id is None
            layers.append(Layer(diff_id, chain_id, step.created_by, empty, *changes))
        return layers

    @classmethod
    def from_listings(
        cls, name: str, id: str, config: Json, listings: Mapping[str, Sequence[str]]
    ) -> Image:
        """An image as a recording keeps it: its ``config``, and the listing of each diff_id."""
        read = ImageConfig.from_json(config)
        sources = [partial(read_listing, listings[diff_id]) for diff_id in read.diff_ids]
        return cls(name, id, read, sources)

    def listings(self) -> dict[str, list[str]]:
        """The listing of each layer by diff_id, for :meth:`from_listings`."""
        return {
            diff_id: list(write_listing(source()))
            for diff_id, source in zip(self.config.diff_ids, self._sources, strict=True)
        }

    @property
    def filled(self) -> list[Layer]:
        """The layers that are not empty, oldest first."""
        return [layer for layer in self.layers if not layer.empty]

    def root(self, n: int | None = None) -> Folder:
        """The merged root file system after the first ``n`` of the ``filled`` layers, or all.

        An archive is read again for this.
        """
        merged = RootFS()
        for source in self._sources[:n]:
            merged.apply(source())
        return merged.root

    def tree(self, n: int | None = None) -> dict[str, FileOrFolder]:
        """The same by path."""
        return dict(self.root(n).walk())

    def to_json(self) -> dict[str, Any]:
        """Plain values for `labkit layers --json`."""
        return {
            "image": self.name,
            "layers": [layer._asdict() for layer in self.layers],
            "size": self.size,
            "wasted": self.wasted,
            "efficiency": self.efficiency,
        }

    def __str__(self) -> str:
        rows = [["", _("size"), "+", "~", "−", _("instruction")]]
        rows += [layer.row(number) for number, layer in enumerate(self.layers, 1)]
        *aligned, last = range(len(rows[0]))
        widths = [max(len(row[column]) for row in rows) for column in aligned]
        lines = [clean(self.name)]
        for row in rows:
            cells = [row[column].rjust(widths[column]) for column in aligned]
            lines.append("  ".join([*cells, row[last]]).rstrip())
        lines.append(
            _(
                "size {size}, wasted {wasted}, efficiency {efficiency:.2f}",
                size=decimal_size(self.size),
                wasted=decimal_size(self.wasted),
                efficiency=self.efficiency,
            )
        )
        return "\n".join(lines)

    __repr__ = __str__
