"""What VBoxManage lists, as data.

Nothing is escaped or quoted in it, so a name with line ends may forge the lines that follow.
Source: VirtualBox User Guide, "VBoxManage list" and "VBoxManage showvminfo".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_PAIR = re.compile(r'("[^"]*"|[A-Za-z][\w()/-]*)=(.*)')
_UUID_AT_END = re.compile(r"\{([0-9a-f-]{36})\}$", re.M)


def _lines(text: str) -> Iterator[str]:
    yield from text.replace("\r\n", "\n").split("\n")


def parse_machinereadable(text: str) -> dict[str, str]:
    """Keys and values of `--machinereadable`.

    Of a key given twice the first counts, for what follows may be forged. A quoted value without
    its closing quote goes on in the next lines.
    """
    values: dict[str, str] = {}
    unfinished = ""  # the key whose value goes on
    for line in _lines(text):
        if unfinished:
            values[unfinished] += "\n" + line.removesuffix('"')
            if line.endswith('"'):
                unfinished = ""
            continue
        pair = _PAIR.fullmatch(line)
        if not pair or pair[1].strip('"') in values:
            continue
        key = pair[1].strip('"')
        value = pair[2].removeprefix('"')
        if value == pair[2]:  # it is not quoted
            values[key] = value
            continue
        values[key] = value.removesuffix('"')
        if not value.endswith('"'):
            unfinished = key
    return values


def parse_hdds(text: str) -> list[dict[str, str]]:
    """The disks of `list hdds -l`, each as key → value.

    Lines without a colon, and indented ones, go on with the value before.
    """
    disks: list[dict[str, str]] = []
    key = ""
    for line in _lines(text):
        if not line.strip():
            key = ""
            continue
        if line.startswith("UUID:"):
            disks.append({})
        if not disks:
            continue
        name, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            key = name.strip()
            disks[-1].setdefault(key, value.strip())
        elif key:
            disks[-1][key] += "\n" + line.strip()
    return disks


def parse_runningvms(text: str) -> list[str]:
    """The UUIDs of the machines in `list runningvms`."""
    return _UUID_AT_END.findall(text)
