"""An image's history: its steps in the words of Docker, and which of them made its layers.

Source: OCI image-spec, config.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Json = Mapping[str, Any]  # an object of JSON

# Instructions that never make a layer, and those that nearly always make one.
_METADATA = re.compile(
    "ARG|CMD|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|SHELL|STOPSIGNAL|USER|VOLUME"
)
_WRITING = re.compile("ADD|COPY|RUN")

_SHELL = re.compile(r"(?:RUN )?(?:\|\d+ .*?)?/bin/sh -c (?P<no_command>#\(nop\) ?)?")
_COPIED = re.compile(r"\b(file|dir|multi):([0-9a-f]{8})[0-9a-f]{56}\b")


def decimal_size(size: float) -> str:
    """Bytes in decimal units with three digits, as `docker images` prints them: 4.26MB."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if float(f"{size:.3g}") < 1000:
            return f"{size:.3g}{unit}"
        size /= 1000
    return f"{size:.3g}EB"


def instruction(created_by: str) -> str:
    """The Dockerfile instruction in a history entry, on one line.

    The classic builder writes "/bin/sh -c #(nop) " before what is no command, and what it copied
    as a digest, of which 8 digits remain; BuildKit ends with " # buildkit".
    """
    text = " ".join(created_by.split()).removesuffix(" # buildkit")
    shell = _SHELL.match(text)
    if shell:
        text = text[shell.end() :].lstrip()
        if not shell["no_command"]:
            text = f"RUN {text}"
    return _COPIED.sub(r"\1:\2…", text)


class BuildStep(NamedTuple):
    """One entry of a history.

    ``empty``: it made no layer; only an image's config tells. ``size``: bytes; only an engine does.
    """

    created_by: str
    empty: bool | None = None
    size: int = 0

    @classmethod
    def from_json(cls, entry: Json) -> BuildStep:
        return cls(entry["created_by"], entry.get("empty"), entry.get("size", 0))

    @property
    def made_layer(self) -> bool:
        return self.size != 0 if self.empty is None else not self.empty

    @property
    def verb(self) -> str:
        return instruction(self.created_by).partition(" ")[0].upper()


class ImageConfig(NamedTuple):
    """What an image's config says of its layers: their digests and history, both oldest first."""

    diff_ids: list[str]
    history: list[BuildStep]

    @classmethod
    def from_json(cls, config: Json) -> ImageConfig:
        return cls(config["diff_ids"], [BuildStep.from_json(entry) for entry in config["history"]])

    def to_json(self) -> dict[str, Any]:
        steps = [{"created_by": step.created_by, "empty": step.empty} for step in self.history]
        return {"diff_ids": self.diff_ids, "history": steps}


def chain_ids(diff_ids: Iterable[str]) -> list[str]:
    """The ChainID of each layer, which names its content and all below it.

    Source: OCI image-spec, config.md, Layer ChainID.
    """
    chain: list[str] = []
    for diff_id in diff_ids:
        if chain:
            pair = f"{chain[-1]} {diff_id}".encode("utf-8", "surrogatepass")
            chain.append(f"sha256:{hashlib.sha256(pair).hexdigest()}")
        else:
            chain.append(diff_id)
    return chain


def align_history(
    history: Sequence[BuildStep], diff_ids: Sequence[str]
) -> list[tuple[BuildStep, str | None]]:
    """Each step, oldest first, with the diff_id of the layer it made, or None.

    An image's config says so itself. An engine tells only sizes: what has bytes is a layer, then
    what can make files though it made none. If the count does not fit, each layer stands without an
    instruction, and the first one has all bytes.
    """
    makers = _layer_makers(history, len(diff_ids))
    if len(makers) != len(diff_ids):
        total = sum(step.size for step in history)
        return [
            (BuildStep("", size=total if n == 0 else 0), diff_id)
            for n, diff_id in enumerate(diff_ids)
        ]
    made = iter(diff_ids)
    return [(step, next(made) if n in makers else None) for n, step in enumerate(history)]


def _layer_makers(history: Sequence[BuildStep], count: int) -> set[int]:
    """Which steps made the ``count`` layers, as far as can be told."""
    certain = [n for n, step in enumerate(history) if step.made_layer]
    possible = [
        n
        for n, step in enumerate(history)
        if step.empty is None and not step.made_layer and not _METADATA.fullmatch(step.verb)
    ]
    possible.sort(key=lambda n: not _WRITING.fullmatch(history[n].verb))
    missing = max(0, count - len(certain))
    return {*certain, *possible[:missing]}
