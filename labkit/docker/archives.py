"""Images from archives, as `docker save` and others write them.

Shapes: `docker save` before and since Docker 25; OCI layouts, as a folder or a tar. Everything is
read as a stream of tar headers, so memory does not grow with the archive. Whatever is wrong with
one is a LabError in one line. That bytes hash to their digests is not verified.
Source: OCI image-spec, image-layout.md, image-index.md and manifest.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from labkit.docker.command_line import full_name
from labkit.docker.history import BuildStep, ImageConfig
from labkit.docker.layers import Image
from labkit.docker.store import LayoutFolder, PlainTar, Store, Stream
from labkit.docker.streams import CHUNK, GZIP, ZSTD, damaged, printable
from labkit.errors import LabError
from labkit.messages import _

_T = TypeVar("_T")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as OCI calls them; others are the same
MAX_INDEXES = 8  # one in another
NAMING = ("io.containerd.image.name", "org.opencontainers.image.ref.name")  # annotations


def read_stream(chunks: Iterable[bytes], name: str, ref: str | None = None) -> Image:
    """An image from the bytes of an archive, which errors call ``name``. LabError."""
    return _Archive(Stream(chunks, name)).image(ref)


def read_image(path: str | os.PathLike[str], ref: str | None = None) -> Image:
    """An image from a file or a layout's folder: the first, or the one called ``ref``. LabError."""
    path = os.fspath(path)
    name = printable(os.path.basename(os.path.abspath(path)))
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return _Archive(LayoutFolder(path, name)).image(ref)
        with open(path, "rb") as file:
            # A pipe, as in `<(docker save …)`, can be read only once.
            if not stat.S_ISREG(mode) or file.peek(4).startswith((GZIP, ZSTD)):
                return read_stream(iter(partial(file.read, CHUNK), b""), name, ref)
        return _Archive(PlainTar(path, name)).image(ref)
    except OSError as error:
        raise LabError(
            "{path}: cannot be read: {error}.", path=printable(path), error=error.strerror
        ) from None


class Offer(NamedTuple):
    """An image that an archive offers: its names, the file that its ID is of, its description."""

    names: list[str]
    file: str
    description: object

    def is_called(self, ref: str | None) -> bool:
        """Is that one of its names, or the beginning of its ID? None fits any."""
        if ref is None or any(full_name(name) == full_name(ref) for name in self.names):
            return True
        digits = ref.removeprefix("sha256:")
        return len(digits) > 5 and self.file.rpartition("/")[2].startswith(digits)


class Chosen(NamedTuple):
    """The image chosen: its name, the file of its config, and those of its layers, oldest first."""

    name: str
    config: str
    layers: list[str]


class _Archive:
    """What images an archive offers, and which files each is made of."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def image(self, ref: str | None) -> Image:
        """The image called ``ref``, by default the first."""
        chosen = self._choose(ref)
        config = self._config(chosen.config)
        if len(chosen.layers) != len(config.diff_ids):
            problem = _(
                "has {count} layers, but its config names {expected}",
                count=len(chosen.layers),
                expected=len(config.diff_ids),
            )
            raise damaged(self._store.name, problem)
        digest = hashlib.sha256(self._store.text(chosen.config)).hexdigest()
        layers = [partial(self._store.layer, path) for path in chosen.layers]
        return Image(chosen.name, f"sha256:{digest}", config, layers)

    def _config(self, path: str) -> ImageConfig:
        field = self._field
        config = self._file(path, dict)
        diff_ids = self._strings(field(config, "rootfs", dict), "diff_ids")
        history = []
        for step in field(config, "history", list, []):
            created_by = field(step, "created_by", str, "") or field(step, "comment", str, "")
            history.append(BuildStep(created_by, field(step, "empty_layer", bool, False)))
        return ImageConfig(diff_ids, history)

    def _choose(self, ref: str | None) -> Chosen:
        if self._store.find("manifest.json") is not None:
            return self._choose_docker(ref)
        if self._store.find("index.json") is not None:
            return self._choose_oci(ref)
        raise LabError(
            "{name}: no image archive, for it has no manifest.json and no index.json "
            "(nor has what `docker export` writes); "
            "make one with `docker save -o FILE IMAGE`.",
            name=self._store.name,
        )

    def _choose_docker(self, ref: str | None) -> Chosen:
        """As Docker's manifest.json says."""
        offers = [
            Offer(self._strings(row, "RepoTags"), self._field(row, "Config", str), row)
            for row in self._file("manifest.json", list)
        ]
        matching = [offer for offer in offers if offer.is_called(ref)]
        if not matching:
            raise self._no_such_image(ref, offers)
        chosen = matching[0]
        layers = self._strings(chosen.description, "Layers")
        return Chosen(self._shown_name(chosen), chosen.file, layers)

    def _choose_oci(self, ref: str | None) -> Chosen:
        """As an OCI index says."""
        index = self._file("index.json", dict)
        offers = [
            Offer(self._annotated_names(row), self._blob(row), row)
            for row in self._field(index, "manifests", list)
        ]
        matching = [offer for offer in offers if offer.is_called(ref)]
        row = self._for_this_machine([offer.description for offer in matching])
        if row is None:
            raise self._no_such_image(ref, offers)
        chosen = next(offer for offer in matching if offer.description is row)
        manifest = self._manifest(row)
        config = self._blob(self._field(manifest, "config", dict))
        layers = [self._blob(layer) for layer in self._field(manifest, "layers", list)]
        return Chosen(self._shown_name(chosen), config, layers)

    def _annotated_names(self, row: object) -> list[str]:
        notes = self._field(row, "annotations", dict, {})
        return [self._field(notes, key, str) for key in NAMING if key in notes]

    def _manifest(self, row: object) -> dict[str, Any]:
        """The manifest that a descriptor leads to, through indexes."""
        for _hop in range(MAX_INDEXES):
            described = self._file(self._blob(row), dict)
            if "manifests" not in described:
                return described
            row = self._for_this_machine(self._field(described, "manifests", list))
        problem = _("its index leads to an index, and so on in a circle")
        raise damaged(self._store.name, problem)

    def _for_this_machine(self, rows: Sequence[object]) -> object:
        """Of an index's images the one for Linux on this processor, else the first; None if none.

        Attestations are no images.
        """
        machine = platform.machine().lower()
        here = {"os": "linux", "architecture": ARCHITECTURES.get(machine, machine)}
        platforms = [self._field(row, "platform", dict, {}) for row in rows]
        first = None
        for row, its in zip(rows, platforms, strict=True):
            if all(its.get(key) == value for key, value in here.items()):
                return row
            if first is None and its.get("os") != "unknown":
                first = row
        return first

    def _shown_name(self, offer: Offer) -> str:
        return printable(offer.names[0] if offer.names else self._store.name)

    def _no_such_image(self, ref: str | None, offers: Sequence[Offer]) -> LabError:
        known = [printable((offer.names or [offer.file])[0]) for offer in offers[:10]]
        return LabError(
            "{name}: has no image {ref}; choose one of: {known}.",
            name=self._store.name,
            ref=printable(ref or ""),
            known=", ".join(known) or _("none at all"),
        )

    # -- the JSON files of the archive ---------------------------------------------------------

    def _file(self, path: str, kind: type[_T]) -> _T:
        """A file that holds one JSON object or list."""
        try:
            value = json.loads(self._store.text(path))
        except (ValueError, RecursionError):
            value = None
        return self._field({path: value}, path, kind)

    def _field(self, thing: object, key: str, kind: type[_T], default: _T | None = None) -> _T:
        """A field of a JSON object; the default also stands for null."""
        value = thing.get(key) if isinstance(thing, dict) else None
        if value is None:
            value = default
        if not isinstance(value, kind):
            key = printable(key)
            problem = _("{key} is not the JSON {type} it should be", key=key, type=kind.__name__)
            raise damaged(self._store.name, problem)
        return value

    def _strings(self, thing: object, key: str) -> list[str]:
        """A field that is a list of strings; empty if there is none."""
        return [self._field({key: text}, key, str) for text in self._field(thing, key, list, [])]

    def _blob(self, descriptor: object) -> str:
        """The file of what a descriptor names. Source: OCI image-spec, image-layout.md, Blobs."""
        return "blobs/" + self._field(descriptor, "digest", str).replace(":", "/", 1)
