"""Write `hello`, a Linux program that prints hello.txt: byte by byte, without a compiler.

It is the smallest static ELF file: one header, one segment (elf(5)), two system calls, write(2) and
exit(2). The same bytes come out on every machine of one architecture.
"""

from __future__ import annotations

import platform
import struct
from pathlib import Path

HEADERS = 64 + 56  # sizes of the ELF header and of one program header
BASE = 0x400000  # where the file is mapped


def x86_64(length: int) -> bytes:
    return (
        b"\xbf\x01\x00\x00\x00"  # mov edi, 1            standard output
        b"\x48\x8d\x35\x15\x00\x00\x00"  # lea rsi, [rip + 21]   the text, right after the code
        b"\xba"
        + struct.pack("<I", length)  # mov edx, length
        + b"\xb8\x01\x00\x00\x00\x0f\x05"  # mov eax, 1; syscall   write
        b"\x31\xff"  # xor edi, edi
        b"\xb8\x3c\x00\x00\x00\x0f\x05"  # mov eax, 60; syscall  exit
    )


def aarch64(length: int) -> bytes:
    return struct.pack(
        "<8I",
        0xD2800020,  # mov x0, #1              standard output
        0x100000E1,  # adr x1, . + 28          the text, right after the code
        0xD2800002 | length << 5,  # mov x2, #length
        0xD2800808,  # mov x8, #64             write
        0xD4000001,  # svc #0
        0xD2800000,  # mov x0, #0
        0xD2800BA8,  # mov x8, #93             exit
        0xD4000001,  # svc #0
    )


CODE = {"x86_64": (62, x86_64), "aarch64": (183, aarch64)}  # the number is e_machine


def program(text: bytes, machine: str) -> bytes:
    """The ELF file that prints `text` on a Linux `machine`.

    Raises KeyError for one it does not know.
    """
    number, code = CODE[machine]
    body = code(len(text)) + text
    size = HEADERS + len(body)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)  # 64 bits, little-endian, version 1
    start = BASE + HEADERS
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 2, number, 1, start, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack(
        "<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x1000
    )  # load; read and execute
    return header + segment + body


if __name__ == "__main__":
    hello = Path("hello")
    hello.write_bytes(program(Path("hello.txt").read_bytes(), platform.machine()))
    hello.chmod(0o755)
