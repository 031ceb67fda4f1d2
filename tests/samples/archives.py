"""Image archives made to order: layers as tars, and around them each shape that tools write."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

Member = tuple[tarfile.TarInfo, bytes]


def member(
    name: str,
    kind: bytes = tarfile.REGTYPE,
    data: bytes = b"",
    link: str = "",
    mode: int = 0o644,
    uid: int = 0,
) -> Member:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(data)
    info.linkname = link
    info.mode = mode
    info.uid = uid
    return info, data


def file(name: str, size: int | bytes = 0) -> Member:
    return member(name, data=size if isinstance(size, bytes) else b"x" * size)


def folder(name: str, mode: int = 0o755, uid: int = 0) -> Member:
    return member(name, tarfile.DIRTYPE, mode=mode, uid=uid)


def symlink(name: str, target: str) -> Member:
    return member(name, tarfile.SYMTYPE, link=target)


def hardlink(name: str, target: str) -> Member:
    return member(name, tarfile.LNKTYPE, link=target)


def whiteout(name: str) -> Member:
    head, slash, tail = name.rpartition("/")
    return member(f"{head}{slash}.wh.{tail}")


def opaque(name: str) -> Member:
    return member(f"{name}/.wh..wh..opq" if name else ".wh..wh..opq")


def tar(members: Iterable[Member], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive in memory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, errors="surrogateescape") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def header(name: bytes = b"x", size: int | bytes = 0, flag: bytes = b"0") -> bytes:
    """The header of a member with whatever the fields hold, its checksum right."""
    digits = size if isinstance(size, bytes) else b"%011o\0" % size
    block = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + digits.ljust(12, b"\0")
    block += b"%011o\0" % 0 + b" " * 8 + flag + b"\0" * 100 + b"ustar\x0000"
    return with_checksum(block.ljust(512, b"\0"))


def with_checksum(block: bytes) -> bytes:
    """A header with its checksum, the sum of its bytes, itself counted as blanks."""
    total = sum(block[:148]) + sum(block[156:]) + sum(b" " * 8)
    return block[:148] + b"%06o\0 " % total + block[156:]


def base_256(size: int) -> bytes:
    """A size as GNU writes those of many digits."""
    return b"\x80" + size.to_bytes(11, "big")


def raw_member(name: bytes, data: bytes, flag: bytes = b"0") -> bytes:
    return header(name, len(data), flag) + padded(data)


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 512)


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Built:
    """An image in pieces: uncompressed layers, config, name."""

    layers: list[bytes]
    config: dict[str, Any]
    tag: str = "demo:latest"
    pack: Callable[[bytes], bytes] = bytes  # how a layer is compressed in OCI layouts

    @property
    def raw(self) -> bytes:
        return json.dumps(self.config).encode()


def image(
    *layers: Sequence[Member] | bytes,
    history: list[dict[str, Any]] | None = None,
    tag: str = "demo:latest",
    pack: Callable[[bytes], bytes] = bytes,
) -> Built:
    """An image from layers given as members or as ready tars; history defaults to one step each."""
    tars = [layer if isinstance(layer, bytes) else tar(layer) for layer in layers]
    if history is None:
        history = [{"created_by": f"COPY step{n} / # buildkit"} for n in range(len(tars))]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "history": history,
        "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in tars]},
    }
    return Built(tars, config, tag, pack)


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def _file(name: str, data: bytes | object) -> Member:
    return member(name, data=data if isinstance(data, bytes) else json.dumps(data).encode())


def docker_old(*images: Built) -> list[Member]:
    """`docker save` before 25: one folder a layer; a layer used again is a symbolic link."""
    members, rows, where = [], [], dict[str, str]()
    for built in images:
        names = []
        for n, data in enumerate(built.layers):
            key = hashlib.sha256(f"{built.tag} {n}".encode("utf-8", "replace")).hexdigest()
            members.append(member(f"{key}/", tarfile.DIRTYPE, mode=0o755))
            members.append(_file(f"{key}/VERSION", b"1.0"))
            members.append(_file(f"{key}/json", {"id": key}))
            if first := where.get(digest(data)):
                members.append(symlink(f"{key}/layer.tar", f"../{first}/layer.tar"))
            else:
                members.append(_file(f"{key}/layer.tar", data))
                where[digest(data)] = key
            names.append(f"{key}/layer.tar")
        config = f"{digest(built.raw)[7:]}.json"
        members.append(_file(config, built.raw))
        rows.append({"Config": config, "RepoTags": [built.tag], "Layers": names})
    return [*members, _file("manifest.json", rows), _file("repositories", {})]


def _blob(data: bytes) -> Member:
    return _file("blobs/" + digest(data).replace(":", "/"), data)


def descriptor(data: bytes, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "mediaType": f"application/vnd.oci.image.{kind}",
        "digest": digest(data),
        "size": len(data),
        **more,
    }


def manifest(built: Built) -> tuple[bytes, list[Member]]:
    """An OCI manifest and the blobs it needs."""
    blobs = [built.pack(data) for data in built.layers]
    body = json.dumps(
        {
            "schemaVersion": 2,
            "config": descriptor(built.raw, "config.v1+json"),
            "layers": [descriptor(data, "layer.v1.tar") for data in blobs],
        }
    ).encode()
    return body, [_blob(data) for data in [*blobs, built.raw, body]]


def oci(*images: Built, docker: bool = False, nested: bool = False) -> list[Member]:
    """An OCI layout.

    ``docker``: with the manifest.json that Docker 25 and later add; ``nested``: behind an index.
    """
    members = [_file("oci-layout", {"imageLayoutVersion": "1.0.0"})]
    rows: list[dict[str, Any]] = []
    listed: list[dict[str, Any]] = []
    for built in images:
        body, blobs = manifest(built)
        members += blobs
        note = {"annotations": {"org.opencontainers.image.ref.name": built.tag}}
        if nested:
            other, more = manifest(image([file("other", 7)], tag="other"))
            members += more
            inner = json.dumps(
                {
                    "schemaVersion": 2,
                    "manifests": [
                        descriptor(
                            b"{}",
                            "manifest.v1+json",
                            platform={"os": "unknown", "architecture": "unknown"},
                        ),
                        descriptor(
                            other,
                            "manifest.v1+json",
                            platform={"os": "plan9", "architecture": "mips"},
                        ),
                        descriptor(
                            body,
                            "manifest.v1+json",
                            platform={"os": "linux", "architecture": "amd64"},
                        ),
                        descriptor(
                            body,
                            "manifest.v1+json",
                            platform={"os": "linux", "architecture": "arm64"},
                        ),
                    ],
                }
            ).encode()
            members.append(_blob(inner))
            listed.append(descriptor(inner, "index.v1+json", **note))
        else:
            listed.append(descriptor(body, "manifest.v1+json", **note))
        rows.append(
            {
                "Config": "blobs/" + digest(built.raw).replace(":", "/"),
                "RepoTags": [built.tag],
                "Layers": [
                    "blobs/" + digest(built.pack(data)).replace(":", "/") for data in built.layers
                ],
            }
        )
    members.append(_file("index.json", {"schemaVersion": 2, "manifests": listed}))
    unique = {info.name: (info, data) for info, data in members}
    return [*unique.values(), *([_file("manifest.json", rows)] if docker else [])]


def write(path: Path, members: Iterable[Member], pack: Callable[[bytes], bytes] = bytes) -> Path:
    """An archive as a file."""
    path.write_bytes(pack(tar(members)))
    return path


def spread(path: Path, members: Iterable[Member]) -> Path:
    """An archive unpacked as a folder."""
    for info, data in members:
        place = path / info.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if info.issym():
            place.symlink_to(info.linkname)
        elif info.isdir():
            place.mkdir(exist_ok=True)
        else:
            place.write_bytes(data)
    return path


gz = gzip.compress


DEMO = image(
    [
        folder("etc"),
        file("etc/passwd", 100),
        file("etc/b", 50),
        hardlink("etc/h", "etc/b"),
        symlink("e", "etc"),
    ],
    [whiteout("etc/passwd"), whiteout("etc/b"), file("etc/new", 10)],
    [folder("opt", mode=0o700, uid=3), opaque("etc"), file("etc/new", 1)],
    history=[
        {"created_by": "ADD x"},
        {"created_by": "CMD x", "empty_layer": True},
        {"created_by": "RUN y"},
        {"comment": "imported"},
    ],
)
SHAPES: dict[str, Callable[..., list[Member]]] = {
    "docker-old": docker_old,
    "docker-new": lambda *images: oci(*images, docker=True),
    "oci": oci,
    "oci-nested": lambda *images: oci(*images, nested=True),
}
