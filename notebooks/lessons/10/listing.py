"""What `VBoxManage … --machinereadable` prints, read."""

from __future__ import annotations

import re

# A quoted value ends with a quote at the end of a line.
_PAIR = re.compile(
    r'^(?:"([^"\n]*)"|([A-Za-z][\w()/-]*))=(?:"(.*?)(?:"$|\Z)|([^\n]*))', re.M | re.S
)


def parse_machinereadable(text: str) -> dict[str, str]:
    """Its keys and values.

    Nothing is escaped in it, so of a key given twice the first counts: the other may be forged.
    """
    values: dict[str, str] = {}
    for quoted_key, key, quoted, value in _PAIR.findall(text):
        values.setdefault(quoted_key or key, quoted or value)
    return values
