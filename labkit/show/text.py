"""Text from anywhere, made safe to show, measured in cells and cut to fit."""

from __future__ import annotations

import re
import unicodedata

_UNSAFE = re.compile(  # controls, marks that reorder text, surrogates and noncharacters
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def clean(text: str) -> str:
    """One line of valid XML and UTF-8: any white space is one space, what is unsafe is U+FFFD."""
    return _UNSAFE.sub("\ufffd", " ".join(text.split()))


def cells(text: str) -> int:
    """Width of a text in monospace cells (Unicode annex 11)."""
    if text.isascii():
        return len(text)
    from wcwidth import width  # late, for it takes 6 MB

    return width(text, control_codes="ignore")


def shorten(text: str, limit: int) -> str:
    """At most ``limit`` cells: the middle goes, since both ends of an instruction tell it apart."""
    short = text
    kept = limit
    while cells(short) > limit:
        kept -= 1
        end = kept // 3
        short = f"{text[: kept - end].rstrip()}…{text[len(text) - end :].lstrip()}"
    return short


def isolate(text: str) -> str:
    """Keep right-to-left text from reordering the columns beside it (Unicode annex 9: isolates)."""
    rtl = any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)
    return f"\u2068{text}\u2069" if rtl else text
