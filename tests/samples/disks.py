"""Virtual disks made by hand, each from its format's specification and from nothing in labkit."""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import zstandard

Cell = bytes | None | str  # of a block: its bytes, None where it is not in this file, or "zero"
UUID, PARENT = (
    uuid.UUID("01234567-89ab-cdef-0123-456789abcdef"),
    uuid.UUID("fedcba98-7654-3210-fedc-ba9876543210"),
)
NIL = uuid.UUID(int=0)


def up(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def put(out: bytearray, at: int, data: bytes) -> None:
    out.extend(bytes(max(0, at + len(data) - len(out))))
    out[at : at + len(data)] = data


def placed(
    out: bytearray, cells: Sequence[Cell], order: Sequence[int], align: int, before: int = 0
) -> dict[int, int]:
    """Append the blocks that have bytes in the given order; where each one went."""
    places = {}
    for n in order:
        cell = cells[n]
        if isinstance(cell, bytes):
            places[n] = up(len(out), align) + before
            put(out, places[n] - before, b"\xff" * before + cell)
    return places


def vdi(
    cells: Sequence[Cell], order: Sequence[int], block: int, parent: bool = False, extra: int = 0
) -> bytes:
    out, count = bytearray(), len(cells)
    data = up(512 + 4 * count, 512)
    head = struct.pack(
        "<64s4sHHIII256sII12xI4xQIIII",
        b"<<< test >>>\n",
        b"\x7f\x10\xda\xbe",
        1,
        1,
        400,
        4 if parent else 1,
        0,
        b"a comment",
        512,
        data,
        512,
        count * block,
        block,
        extra,
        count,
        sum(isinstance(cell, bytes) for cell in cells),
    )
    put(out, 0, head + UUID.bytes_le + bytes(16) + (PARENT if parent else NIL).bytes_le + bytes(16))
    table = [0xFFFFFFFE if cell == "zero" else 0xFFFFFFFF for cell in cells]
    put(out, data, b"")
    here = 0
    for n in order:
        if isinstance(cells[n], bytes):
            put(out, data + here * (block + extra), b"E" * extra + cells[n])  # type: ignore[operator]
            table[n], here = here, here + 1
    put(out, 512, struct.pack(f"<{count}I", *table))
    return bytes(out)


def summed(data: bytes, at: int) -> bytes:
    total = ~sum(data[:at] + data[at + 4 :]) & 0xFFFFFFFF
    return data[:at] + struct.pack(">I", total) + data[at + 4 :]


def footer(size: int, kind: int) -> bytes:
    return summed(
        struct.pack(
            ">8sIIQI4sI4sQQHBBII16sB427x",
            b"conectix",
            2,
            0x10000,
            512 if kind > 2 else (1 << 64) - 1,
            0,
            b"test",
            1,
            b"Wi2k",
            size,
            size,
            1,
            2,
            3,
            kind,
            0,
            UUID.bytes_le,
            0,
        ),
        64,
    )


def vhd(
    cells: Sequence[Cell], order: Sequence[int], block: int, parent: str = "", marks: Any = None
) -> bytes:
    count = len(cells)
    foot = footer(count * block, 4 if parent else 3)
    name = parent.encode("utf-16-le")
    head = struct.pack(
        ">8sQQIIII16sII512s4sIIIQ",
        b"cxsparse",
        (1 << 64) - 1,
        2048,
        0x10000,
        count,
        block,
        0,
        (PARENT if parent else NIL).bytes_le,
        0,
        0,
        parent.encode("utf-16-be"),
        b"W2ru" if parent else b"",
        512,
        len(name),
        0,
        1536 if parent else 0,
    )
    out = bytearray()
    put(out, 0, foot)
    put(out, 512, summed(head + bytes(1024 - len(head)), 36))
    put(out, 1536, name)
    put(out, 2048, bytes(up(4 * count, 512)))
    bitmap = up(-(-block // 512 // 8), 512)
    places = placed(out, cells, order, 512, bitmap)
    for n, at in places.items():
        put(out, 2048 + 4 * n, struct.pack(">I", (at - bitmap) // 512))
        if marks:
            put(out, at - bitmap, marks)
    for n in set(range(count)) - places.keys():
        put(out, 2048 + 4 * n, b"\xff" * 4)
    return bytes(out + foot)


def vhd_fixed(data: bytes) -> bytes:
    return data + footer(len(data), 2)


def description(kind: str, extents: Sequence[str], parent: str = "", more: str = "") -> bytes:
    return (
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID="
        + ("deadbeef" if parent else "ffffffff")
        + f'\ncreateType="{kind}"\n'
        + f'parentFileNameHint="{parent}"\n' * bool(parent)
        + "\n".join(extents)
        + f'\nddb.uuid.image="{UUID}"\n{more}'
    ).encode()


def vmdk(
    cells: Sequence[Cell],
    order: Sequence[int],
    block: int,
    parent: str = "",
    stream: bool = False,
    per: int = 4,
) -> bytes:
    count, grain = len(cells), block // 512
    text = description(
        "streamOptimized" if stream else "monolithicSparse", ['RW 1 SPARSE "x.vmdk"'], parent
    )
    tables = up(count, per) // per
    directory, first = 1 + 4, 1 + 4 + up(4 * tables, 512) // 512
    head = struct.pack(
        "<4sIIQQQQIQQQB4sH",
        b"KDMV",
        3 if stream else 1,
        1 | 4 | stream << 16,
        count * grain,
        grain,
        1,
        4,
        per,
        0,
        directory,
        16,
        0,
        b"\n \r\n",
        int(stream),
    )
    out = bytearray()
    put(out, 0, head)
    put(out, 512, text)
    put(out, directory * 512, struct.pack(f"<{tables}I", *(first + n for n in range(tables))))
    put(out, first * 512, bytes(512 * tables))
    if stream:
        packed = [
            struct.pack("<QI", n * grain, len(data)) + data if isinstance(cell, bytes) else cell
            for n, cell in enumerate(cells)
            for data in [zlib.compress(cell if isinstance(cell, bytes) else b"")]
        ]
        places = placed(out, packed, order, 512)
        put(out, up(len(out), 512), b"")
    else:
        places = placed(out, cells, order, 512)
    for n in range(count):
        value = places[n] // 512 if n in places else int(cells[n] == "zero")
        put(out, (first + n // per) * 512 + n % per * 4, struct.pack("<I", value))
    return bytes(out)


def qcow2(
    cells: Sequence[Cell],
    order: Sequence[int],
    block: int,
    parent: str = "",
    version: int = 3,
    pack: str = "",
    raw: bool = False,
) -> bytes:
    count, per, bits = len(cells), block // 8, block.bit_length() - 1
    tables = up(count, per) // per
    head = struct.pack(
        ">4sIQIIQIIQQIIQ",
        b"QFI\xfb",
        version,
        block - 256 if parent else 0,
        len(parent),
        bits,
        count * block,
        0,
        tables,
        2 * block,
        block,
        1,
        0,
        0,
    )
    if version == 3:
        head += struct.pack(
            ">QQQIIB7x", 8 if pack == "zstd" else 0, 0, 0, 4, 112, int(pack == "zstd")
        )
    if raw:
        head += struct.pack(">II8sII", 0xE2792ACA, 3, b"raw", 0, 0)
    out = bytearray()
    put(out, 0, head)
    put(out, block - 256 if parent else 0, parent.encode() if parent else b"")
    first = 2 * block + up(8 * tables, block)
    put(
        out,
        2 * block,
        struct.pack(f">{tables}Q", *((first + n * block) | 1 << 63 for n in range(tables))),
    )
    put(out, first, bytes(tables * block))
    packed = {"": bytes, "zlib": deflate, "zstd": zstandard.ZstdCompressor().compress}[pack]
    stored = [packed(cell) if isinstance(cell, bytes) else cell for cell in cells]
    places = placed(out, stored, order, 7 if pack else block)
    for n in range(count):
        value = places[n] | 1 << 63 if n in places else int(cells[n] == "zero")
        if pack and n in places:
            size = len(stored[n] or b"")
            extra = (places[n] % 512 + size - 1) // 512
            value = 1 << 62 | extra << (62 - (bits - 8)) | places[n]
        put(out, first + n // per * block + n % per * 8, struct.pack(">Q", value))
    return bytes(out)


def deflate(data: bytes) -> bytes:
    pack = zlib.compressobj(9, zlib.DEFLATED, -12)
    return pack.compress(data) + pack.flush()


def qed(
    cells: Sequence[Cell], order: Sequence[int], block: int, parent: str = "", raw: bool = False
) -> bytes:
    count, per = len(cells), block // 8
    tables = up(count, per) // per
    out = bytearray()
    put(
        out,
        0,
        struct.pack(
            "<4sIIIQQQQQII",
            b"QED\0",
            block,
            1,
            1,
            bool(parent) | raw << 2,
            0,
            0,
            block,
            count * block,
            64 if parent else 0,
            len(parent),
        )
        + parent.encode(),
    )
    put(out, block, struct.pack(f"<{tables}Q", *(2 * block + n * block for n in range(tables))))
    put(out, 2 * block, bytes(tables * block))
    places = placed(out, cells, order, block)
    for n in range(count):
        put(out, 2 * block + 8 * n, struct.pack("<Q", places.get(n, int(cells[n] == "zero"))))
    return bytes(out)


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sealed(data: bytes) -> bytes:
    return data[:4] + struct.pack("<I", crc32c(data)) + data[8:]


META = {
    "caa16737-fa36-4d43-b3b6-33f0aa44e76b": "<II",
    "2fa54224-cd1b-4876-b211-5dbed83bf4b8": "<Q",
    "beca12ab-b2e6-4523-93ef-c309e000c746": "16s",
    "8141bf1d-a96f-4709-ba47-f233a8faab5f": "<I",
    "a8d35f2d-b30b-454d-abf7-d3d84834ab0c": "",
}


def vhdx(
    cells: Sequence[Cell], order: Sequence[int], block: int, parent: str = "", log: uuid.UUID = NIL
) -> bytes:
    count, mib, ratio = len(cells), 1 << 20, (512 << 23) // block
    out = bytearray(5 * mib)
    put(out, 0, b"vhdxfile" + "test".encode("utf-16-le"))
    for at, number in ((64 << 10, 1), (128 << 10, 2)):
        head = struct.pack(
            "<4sIQ16s16s16sHHIQ",
            b"head",
            0,
            number,
            bytes(16),
            bytes(16),
            log.bytes_le,
            0,
            1,
            mib,
            mib,
        )
        put(out, at, sealed(head + bytes(4096 - len(head))))
    rows = [
        ("2dc27766-f623-4200-9d64-115e9bfd4a08", 2 * mib),
        ("8b7ca206-4790-4b9a-b8fe-575f050f886e", 3 * mib),
    ]
    region = struct.pack("<4sIII", b"regi", 0, 2, 0) + b"".join(
        struct.pack("<16sQII", uuid.UUID(key).bytes_le, at, mib, 1) for key, at in rows
    )
    for at in (192 << 10, 256 << 10):
        put(out, at, sealed(region + bytes((64 << 10) - len(region))))
    pairs = [("parent_linkage", f"{{{PARENT}}}"), ("relative_path", parent)]
    locator, texts = struct.pack("<16sHH", bytes(16), 0, len(pairs)), b""
    for key, value in pairs:
        a, b = key.encode("utf-16-le"), value.encode("utf-16-le")
        locator += struct.pack("<IIHH", 44 + len(texts), 44 + len(texts + a), len(a), len(b))
        texts += a + b
    values = [
        struct.pack("<II", block, 2 if parent else 0),
        struct.pack("<Q", count * block),
        UUID.bytes_le,
        struct.pack("<I", 512),
        locator + texts,
    ][: 5 if parent else 4]
    put(out, 3 * mib, b"metadata" + struct.pack("<HH20x", 0, len(values)))
    at = 64 << 10
    for n, (key, value) in enumerate(zip(META, values, strict=False)):
        put(
            out,
            3 * mib + 32 + 32 * n,
            struct.pack("<16sIIII", uuid.UUID(key).bytes_le, at, len(value), 4, 0),
        )
        put(out, 3 * mib + at, value)
        at += up(len(value), 8)
    places = placed(out, cells, order, mib)
    for n in range(count):
        state = places[n] | 6 if n in places else 2 * (cells[n] == "zero")
        put(out, 2 * mib + 8 * (n + n // ratio), struct.pack("<Q", state))
    return bytes(out)


# name: how to make it, its block, is there a mark for zeros, how it names its parent
MAKERS: dict[str, tuple[Callable[..., bytes], int, bool, Any]] = {
    "VDI": (vdi, 4096, True, True),
    "VHD": (vhd, 4096, False, "base"),
    "VMDK": (vmdk, 4096, True, "base"),
    "VMDK stream": (lambda *a, **k: vmdk(*a, **k, stream=True), 4096, True, "base"),
    "QCOW2 v2": (lambda *a, **k: qcow2(*a, **k, version=2), 512, False, "base"),
    "QCOW2": (qcow2, 512, True, "base"),
    "QCOW2 zlib": (lambda *a, **k: qcow2(*a, **k, pack="zlib"), 4096, True, "base"),
    "QCOW2 zstd": (lambda *a, **k: qcow2(*a, **k, pack="zstd"), 4096, True, "base"),
    "QED": (qed, 4096, True, "base"),
    "VHDX": (vhdx, 1 << 20, True, "base"),
}
