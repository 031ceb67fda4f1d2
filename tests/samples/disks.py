"""Virtual disks made by hand, each from its format's specification and from nothing in labkit."""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import zstandard

SampleBlock = bytes | None | str  # its bytes, None where it is not in this file, or "zero"
UUID = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")
PARENT = uuid.UUID("fedcba98-7654-3210-fedc-ba9876543210")
NIL = uuid.UUID(int=0)
NOWHERE = (1 << 64) - 1


def up(size: int, unit: int) -> int:
    """The size in whole units."""
    return -(-size // unit) * unit


def put(out: bytearray, at: int, data: bytes) -> None:
    """Write into a file, which grows as needed."""
    out.extend(bytes(max(0, at + len(data) - len(out))))
    out[at : at + len(data)] = data


def header(size: int, order: str, fields: Mapping[int, tuple[Any, ...]]) -> bytes:
    """So many bytes; by their offset the fields: their codes as in struct, and their values."""
    out = bytearray(size)
    for at, (codes, *values) in fields.items():
        struct.pack_into(order + codes, out, at, *values)
    return bytes(out)


def placed(
    out: bytearray, blocks: Sequence[SampleBlock], order: Sequence[int], align: int, before: int = 0
) -> dict[int, int]:
    """Append the blocks that have bytes in the given order; where each one went."""
    places = {}
    for n in order:
        block = blocks[n]
        if isinstance(block, bytes):
            places[n] = up(len(out), align) + before
            put(out, places[n] - before, b"\xff" * before + block)
    return places


def vdi(
    blocks: Sequence[SampleBlock],
    order: Sequence[int],
    size: int,
    parent: bool = False,
    extra: int = 0,
) -> bytes:
    count = len(blocks)
    data = up(512 + 4 * count, 512)
    stored = [n for n in order if isinstance(blocks[n], bytes)]
    fields = {
        0: ("64s", b"<<< test >>>\n"),
        64: ("4sHHI", bytes.fromhex("7f10dabe"), 1, 1, 400),
        76: ("I", 4 if parent else 1),
        84: ("256s", b"a comment"),
        340: ("II", 512, data),
        360: ("I", 512),
        368: ("QIIII", count * size, size, extra, count, len(stored)),
        392: ("16s", UUID.bytes_le),
        424: ("16s", (PARENT if parent else NIL).bytes_le),
    }
    out = bytearray(header(data, "<", fields))
    table = [0xFFFFFFFE if block == "zero" else 0xFFFFFFFF for block in blocks]
    for here, n in enumerate(stored):
        block = blocks[n]
        assert isinstance(block, bytes)
        put(out, data + here * (size + extra), b"E" * extra + block)
        table[n] = here
    put(out, 512, struct.pack(f"<{count}I", *table))
    return bytes(out)


def summed(data: bytes, at: int) -> bytes:
    total = ~sum(data[:at] + data[at + 4 :]) & 0xFFFFFFFF
    return data[:at] + struct.pack(">I", total) + data[at + 4 :]


def footer(size: int, kind: int) -> bytes:
    fields = {
        0: ("8sII", b"conectix", 2, 0x10000),
        16: ("Q", 512 if kind > 2 else NOWHERE),
        28: ("4sI4s", b"test", 1, b"Wi2k"),
        40: ("QQHBB", size, size, 1, 2, 3),
        60: ("I", kind),
        68: ("16s", UUID.bytes_le),
    }
    return summed(header(512, ">", fields), 64)


def vhd(
    blocks: Sequence[SampleBlock],
    order: Sequence[int],
    size: int,
    parent: str = "",
    marks: bytes = b"",
) -> bytes:
    count = len(blocks)
    foot = footer(count * size, 4 if parent else 3)
    name = parent.encode("utf-16-le")
    fields = {
        0: ("8sQQ", b"cxsparse", NOWHERE, 2048),
        24: ("III", 0x10000, count, size),
        40: ("16s", (PARENT if parent else NIL).bytes_le),
        64: ("512s", parent.encode("utf-16-be")),
    }
    if parent:
        fields[576] = ("4sIIIQ", b"W2ru", 512, len(name), 0, 1536)
    out = bytearray()
    put(out, 0, foot)
    put(out, 512, summed(header(1024, ">", fields), 36))
    put(out, 1536, name)
    put(out, 2048, bytes(up(4 * count, 512)))
    bitmap = up(-(-size // 512 // 8), 512)
    places = placed(out, blocks, order, 512, bitmap)
    for n in range(count):
        at = places.get(n)
        entry = 0xFFFFFFFF if at is None else (at - bitmap) // 512
        put(out, 2048 + 4 * n, struct.pack(">I", entry))
        if at is not None:
            put(out, at - bitmap, marks)
    return bytes(out + foot)


def vhd_fixed(data: bytes) -> bytes:
    return data + footer(len(data), 2)


def description(kind: str, extents: Sequence[str], parent: str = "", more: str = "") -> bytes:
    lines = ["# Disk DescriptorFile", "version=1", "CID=12345678"]
    lines.append(f"parentCID={'deadbeef' if parent else 'ffffffff'}")
    lines.append(f'createType="{kind}"')
    if parent:
        lines.append(f'parentFileNameHint="{parent}"')
    return "\n".join([*lines, *extents, f'ddb.uuid.image="{UUID}"', more]).encode()


def vmdk(
    blocks: Sequence[SampleBlock],
    order: Sequence[int],
    size: int,
    parent: str = "",
    stream: bool = False,
) -> bytes:
    count = len(blocks)
    grain = size // 512
    per = 4
    kind = "streamOptimized" if stream else "monolithicSparse"
    tables = up(count, per) // per
    directory = 1 + 4
    first = directory + up(4 * tables, 512) // 512
    fields = {
        0: ("4sII", b"KDMV", 3 if stream else 1, 1 | 4 | stream << 16),
        12: ("QQQQI", count * grain, grain, 1, 4, per),
        48: ("QQQ", 0, directory, 16),
        73: ("4sH", b"\n \r\n", int(stream)),
    }
    out = bytearray(header(512, "<", fields))
    put(out, 512, description(kind, ['RW 1 SPARSE "x.vmdk"'], parent))
    put(out, directory * 512, struct.pack(f"<{tables}I", *(first + n for n in range(tables))))
    put(out, first * 512, bytes(512 * tables))
    if stream:
        blocks = [packed_grain(block, n * grain) for n, block in enumerate(blocks)]
    places = placed(out, blocks, order, 512)
    put(out, up(len(out), 512), b"")
    for n in range(count):
        value = places[n] // 512 if n in places else int(blocks[n] == "zero")
        put(out, (first + n // per) * 512 + n % per * 4, struct.pack("<I", value))
    return bytes(out)


def packed_grain(block: SampleBlock, sector: int) -> SampleBlock:
    if not isinstance(block, bytes):
        return block
    data = zlib.compress(block)
    return struct.pack("<QI", sector, len(data)) + data


def qcow2(
    blocks: Sequence[SampleBlock],
    order: Sequence[int],
    size: int,
    parent: str = "",
    version: int = 3,
    pack: str = "",
    raw: bool = False,
) -> bytes:
    count = len(blocks)
    per = size // 8
    bits = size.bit_length() - 1
    tables = up(count, per) // per
    fields = {
        0: ("4sI", b"QFI\xfb", version),
        8: ("QI", size - 256 if parent else 0, len(parent)),
        20: ("IQ", bits, count * size),
        36: ("IQQI", tables, 2 * size, size, 1),
    }
    if version == 3:
        fields[72] = ("Q", 8 if pack == "zstd" else 0)
        fields[96] = ("IIB", 4, 112, int(pack == "zstd"))
    if raw:
        fields[112] = ("II3s", 0xE2792ACA, 3, b"raw")
    out = bytearray(header(size, ">", fields))
    put(out, size - 256, parent.encode())
    first = 2 * size + up(8 * tables, size)
    places_of_tables = [first + n * size | 1 << 63 for n in range(tables)]
    put(out, 2 * size, struct.pack(f">{tables}Q", *places_of_tables))
    put(out, first, bytes(tables * size))
    packers: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        "zlib": deflate,
        "zstd": zstandard.ZstdCompressor().compress,
    }
    stored = [packers[pack](block) if isinstance(block, bytes) else block for block in blocks]
    places = placed(out, stored, order, 7 if pack else size)
    for n in range(count):
        value = places[n] | 1 << 63 if n in places else int(blocks[n] == "zero")
        if pack and n in places:
            further = (places[n] % 512 + len(stored[n] or b"") - 1) // 512
            value = 1 << 62 | further << (62 - (bits - 8)) | places[n]
        put(out, first + n // per * size + n % per * 8, struct.pack(">Q", value))
    return bytes(out)


def deflate(data: bytes) -> bytes:
    pack = zlib.compressobj(9, zlib.DEFLATED, -12)
    return pack.compress(data) + pack.flush()


def qed(
    blocks: Sequence[SampleBlock],
    order: Sequence[int],
    size: int,
    parent: str = "",
    raw: bool = False,
    table: int = 2,
) -> bytes:
    """QEMU takes none whose tables are of one cluster each."""
    count = len(blocks)
    per = table * size // 8
    tables = up(count, per) // per
    first = (1 + table) * size
    fields = {
        0: ("4sIII", b"QED\0", size, table, 1),
        16: ("Q", bool(parent) | raw << 2),
        40: ("QQ", size, count * size),
        56: ("II", 64 if parent else 0, len(parent)),
    }
    out = bytearray(header(size, "<", fields))
    put(out, 64, parent.encode())
    places_of_tables = [first + n * table * size for n in range(tables)]
    put(out, size, struct.pack(f"<{tables}Q", *places_of_tables))
    put(out, first, bytes(tables * table * size))
    places = placed(out, blocks, order, size)
    for n in range(count):
        value = places.get(n, int(blocks[n] == "zero"))
        put(out, first + 8 * n, struct.pack("<Q", value))
    return bytes(out)


Unpacker = Callable[[bytes], bytes]


class Maker(NamedTuple):
    """How a disk is made: its block size in bytes, a mark for zeros, how it names its parent.

    ``unpack`` finds a block in what begins where it was put.
    """

    make: Callable[..., bytes]
    size: int
    zeros: bool
    parent: Any
    unpack: Unpacker | None = None


def unpack_grain(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data[12:])


def inflate(data: bytes) -> bytes:
    return zlib.decompressobj(-12).decompress(data)


def unpack_zstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


MAKERS = {
    "VDI": Maker(vdi, 4096, True, True),
    "VHD": Maker(vhd, 4096, False, "base"),
    "VMDK": Maker(vmdk, 4096, True, "base"),
    "VMDK stream": Maker(partial(vmdk, stream=True), 4096, True, "base", unpack_grain),
    "QCOW2 v2": Maker(partial(qcow2, version=2), 512, False, "base"),
    "QCOW2": Maker(qcow2, 512, True, "base"),
    "QCOW2 zlib": Maker(partial(qcow2, pack="zlib"), 4096, True, "base", inflate),
    "QCOW2 zstd": Maker(partial(qcow2, pack="zstd"), 4096, True, "base", unpack_zstd),
}
