"""Images from archives, as `docker save` and others write them.

Shapes: `docker save` before and since Docker 25; OCI layouts, as a folder or a tar. Everything is
read as a stream of tar headers, so memory does not grow with the archive. Whatever is wrong with
one is a LabError in one line. That bytes hash to their digests is not verified.
Source: OCI image-spec, image-layout.md, image-index.md and manifest.md.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from labkit.docker.command_line import full_name
from labkit.docker.layers import BuildStep, Image, ImageConfig
from labkit.docker.rootfs import MAX_NAMES
from labkit.docker.streams import CHUNK, GZIP, ZSTD, Inflater, Source, damaged, printable
from labkit.docker.tar import BLOCK, LayerEntry, clean_path, is_header, members
from labkit.errors import LabError
from labkit.messages import _

_T = TypeVar("_T")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as OCI calls them; others are the same
MAX_INDEXES = 8  # one in another
MAX_JSON = 16 << 20  # bytes of a description
MAX_LINKS = 40  # followed one after another: as Linux, path_resolution(7)
NAMING = ("io.containerd.image.name", "org.opencontainers.image.ref.name")  # annotations


def read_stream(chunks: Iterable[bytes], name: str, ref: str | None = None) -> Image:
    """An image from the bytes of an archive, which errors call ``name``. LabError."""
    archive = _Archive(name)
    archive.take(archive.inflater.count(chunks, name))
    return archive.image(ref)


def read_image(path: str | os.PathLike[str], ref: str | None = None) -> Image:
    """An image from a file or a layout's folder: the first, or the one called ``ref``. LabError."""
    path = os.fspath(path)
    name = printable(os.path.basename(os.path.abspath(path)))
    try:
        if os.path.isdir(path):
            return _LayoutFolder(path, name).image(ref)
        with open(path, "rb", buffering=0) as file:
            if not os.path.isfile(path):  # a pipe, as in `<(docker save …)`
                return read_stream(iter(partial(file.read, CHUNK), b""), name, ref)
            archive = _Archive(name)
            archive.inflater.packed = size = os.path.getsize(path)
            archive.take(Source(name, file.read, size, file.seek), path)
        return archive.image(ref)
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


class Slice(NamedTuple):
    """A file that lies in another one, or is all of it. In bytes."""

    path: str
    start: int
    size: int


# Where a file's bytes are; or, of a stream, what it held: a text, the members of a tar, or what is
# wrong with it. Of a link the path that it leads to. None for anything else.
Content = Slice | bytes | list[LayerEntry] | LabError | str | None


class _Archive:
    """The files of an archive by name, and the images that are made of them."""

    def __init__(self, name: str) -> None:
        self.inflater = Inflater()
        self._name = name  # what errors call it
        self._contents: dict[str, Content] = {}
        self._names_left = MAX_NAMES

    def take(self, source: Source, path: str = "") -> None:
        """Note of each file in a tar where it is, if that is a plain one at a ``path``; else what.

        Which of them are layers is told only at the end of the tar.
        """
        whole = self.inflater.open(source)
        for entry in members(whole):
            self._count(500)
            content: Content = None
            if entry.kind == "h":
                content = entry.detail
            elif entry.kind == "l":
                from_root = entry.detail.startswith("/")
                target = entry.detail if from_root else f"{entry.path}/../{entry.detail}"
                content = clean_path(target)
            elif entry.kind == "f" and path and whole is source:
                content = Slice(path, whole.position, entry.size)
            elif entry.kind == "f":
                part = Source(f"{self._name}: {printable(entry.path)}", whole.read, entry.size)
                content = self._kept(part)
            self._contents[entry.path] = content

    def _kept(self, part: Source) -> Content:
        """What may be asked of a file later: its text if it may be JSON, its members if a tar."""
        head = part.peek(BLOCK)
        empty_tar = head != b"" and not head.strip(b"\0")
        if not (empty_tar or is_header(head) or head.startswith((GZIP, ZSTD))):
            if head[:1] not in (b"", b"{", b"["):
                return None
            text = part.read(MAX_JSON)
            self._count(len(text))
            return text
        entries = []
        try:
            for entry in members(self.inflater.open(part)):
                self._count(len(entry.path) + len(entry.detail) + 200)
                entries.append(entry)
        except LabError as error:
            return error  # it matters only if it is a layer
        return entries

    def _count(self, characters: int) -> None:
        self._names_left -= characters
        if self._names_left < 0:
            raise LabError(
                "{name}: holds more names than an image can sensibly have; not read further.",
                name=self._name,
            )

    def image(self, ref: str | None) -> Image:
        """The image called ``ref``, by default the first."""
        offers = []
        if self._find("manifest.json") is not None:  # Docker's
            for row in self._file("manifest.json", list):
                names = self._strings(row, "RepoTags")
                offers.append(Offer(names, self._field(row, "Config", str), row))
            chosen = self._choose(offers, ref)
            config = chosen.file
            layers = self._strings(chosen.description, "Layers")
        elif self._find("index.json") is not None:  # an OCI index
            for row in self._field(self._file("index.json", dict), "manifests", list):
                notes = self._field(row, "annotations", dict, {})
                names = [self._field(notes, key, str) for key in NAMING if key in notes]
                offers.append(Offer(names, self._blob(row), row))
            chosen = self._choose(offers, ref)
            manifest = self._manifest(chosen.description)
            config = self._blob(self._field(manifest, "config", dict))
            layers = [self._blob(layer) for layer in self._field(manifest, "layers", list)]
        else:
            raise LabError(
                "{name}: no image archive, for it has no manifest.json and no index.json "
                "(nor has what `docker export` writes); "
                "make one with `docker save -o FILE IMAGE`.",
                name=self._name,
            )
        name = printable(chosen.names[0] if chosen.names else self._name)
        return self._from_files(name, config, layers)

    def _from_files(self, name: str, config_file: str, layers: Sequence[str]) -> Image:
        """An image from the files of its config and of its layers, oldest first."""
        config = self._file(config_file, dict)
        diff_ids = self._strings(self._field(config, "rootfs", dict), "diff_ids")
        history = []
        for step in self._field(config, "history", list, []):
            words = self._field(step, "created_by", str, "")
            words = words or self._field(step, "comment", str, "")
            history.append(BuildStep(words, self._field(step, "empty_layer", bool, False)))
        if len(layers) != len(diff_ids):
            problem = _(
                "has {count} layers, but its config names {expected}",
                count=len(layers),
                expected=len(diff_ids),
            )
            raise damaged(self._name, problem)
        sources = [partial(self._layer, path) for path in layers]
        return Image(name, ImageConfig(diff_ids, history), sources)

    def _choose(self, offers: Sequence[Offer], ref: str | None) -> Offer:
        fitting = [offer for offer in offers if offer.is_called(ref)]
        row = self._for_this_machine([offer.description for offer in fitting])
        for offer in fitting:
            if offer.description is row:
                return offer
        known = [printable((offer.names or [offer.file])[0]) for offer in offers[:10]]
        raise LabError(
            "{name}: has no image {ref}; choose one of: {known}.",
            name=self._name,
            ref=printable(ref or ""),
            known=", ".join(known) or _("none at all"),
        )

    def _for_this_machine(self, rows: Sequence[object]) -> object:
        """The image for Linux on this processor, else the first; None if all are attestations."""
        machine = platform.machine().lower()
        here = {"os": "linux", "architecture": ARCHITECTURES.get(machine, machine)}
        platforms = [(row, self._field(row, "platform", dict, {})) for row in rows]
        fitting = [row for row, its in platforms if here.items() <= its.items()]
        images = [row for row, its in platforms if its.get("os") != "unknown"]
        return next(iter([*fitting, *images]), None)

    def _manifest(self, row: object) -> dict[str, Any]:
        """The manifest that a descriptor leads to, through indexes."""
        for _hop in range(MAX_INDEXES):
            described = self._file(self._blob(row), dict)
            if "manifests" not in described:
                return described
            row = self._for_this_machine(self._field(described, "manifests", list))
        raise damaged(self._name, _("its index leads to an index, and so on in a circle"))

    def _file(self, path: str, kind: type[_T]) -> _T:
        """A file that holds one JSON object or list."""
        try:
            value = json.loads(self._text(path))
        except (ValueError, RecursionError):
            value = None
        return self._typed(path, value, kind)

    def _field(self, thing: object, key: str, kind: type[_T], default: _T | None = None) -> _T:
        """A field of a JSON object; the default also stands for null."""
        value = thing.get(key) if isinstance(thing, dict) else None
        return self._typed(key, default if value is None else value, kind)

    def _typed(self, key: str, value: object, kind: type[_T]) -> _T:
        """The value, if it is of that type. LabError that names it if it is of another."""
        if not isinstance(value, kind):
            key = printable(key)
            problem = _("{key} is not the JSON {type} it should be", key=key, type=kind.__name__)
            raise damaged(self._name, problem)
        return value

    def _strings(self, thing: object, key: str) -> list[str]:
        """A field that is a list of strings; empty if there is none."""
        return [self._typed(key, text, str) for text in self._field(thing, key, list, [])]

    def _blob(self, descriptor: object) -> str:
        """The file of what a descriptor names. Source: OCI image-spec, image-layout.md, Blobs."""
        return "blobs/" + self._field(descriptor, "digest", str).replace(":", "/", 1)

    def _text(self, path: str) -> bytes:
        """A small file. LabError if it is not there, or longer than MAX_JSON."""
        content = self._find(path)
        if isinstance(content, Slice):
            with open(content.path, "rb") as file:
                file.seek(content.start)
                content = file.read(min(content.size, MAX_JSON))
        if not isinstance(content, bytes):
            raise self._absent(path)
        if len(content) == MAX_JSON:
            problem = _("{path} is longer than any description of an image", path=printable(path))
            raise damaged(self._name, problem)
        return content

    def _layer(self, path: str) -> Iterator[LayerEntry]:
        """The members of a layer's tar. LabError if it is not there or not sound."""
        name = f"{self._name}: {printable(path)}"
        match self._find(path):
            case Slice(file_path, start, size):
                try:
                    with open(file_path, "rb", buffering=0) as file:
                        file.seek(start)
                        source = Source(name, file.read, size, file.seek)
                        yield from members(self.inflater.open(source))
                except OSError as error:
                    problem = _("cannot be read ({error})", error=error.strerror)
                    raise damaged(self._name, problem) from None
            case list() as entries:
                yield from entries
            case LabError() as error:
                raise error
            case b"":
                return
            case _:
                raise self._absent(path)

    def _absent(self, path: str) -> LabError:
        problem = _("{path} is named in it but is not there", path=printable(path))
        return damaged(self._name, problem)

    def _find(self, path: str) -> Content:
        """What a name leads to, through links; None if nowhere, or out of the archive."""
        path = clean_path(path)
        for _hop in range(MAX_LINKS):
            content = self._contents.get(path)
            if not isinstance(content, str):
                return content
            path = content
        return None


class _LayoutFolder(_Archive):
    """A folder with the files of an OCI layout, or of an archive unpacked."""

    def __init__(self, folder: str, name: str) -> None:
        super().__init__(name)
        self._folder = os.path.join(os.path.realpath(folder), "")

    def _find(self, path: str) -> Content:
        path = clean_path(path)
        if path not in self._contents and path.isprintable():
            real = os.path.realpath(self._folder + path)
            if real.startswith(self._folder) and os.path.isfile(real):
                size = os.path.getsize(real)
                self.inflater.packed += size
                self._contents[path] = Slice(real, 0, size)
        return self._contents.get(path)
