"""Text from anywhere, made safe to show, measured in cells and cut to fit."""

from __future__ import annotations

import re
import unicodedata

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def clean(text: str) -> str:
    """One line of valid XML and UTF-8: any white space is one space; controls and surrogates are U+FFFD."""
    return _UNSAFE.sub("\ufffd", " ".join(text.split()))


def cells(text: str) -> int:
    """Width in monospace cells: wide characters take 2 (Unicode annex 11), combining and format ones 0."""
    return (
        len(text)
        if text.isascii()
        else sum(
            0
            if unicodedata.category(c) in ("Mn", "Me", "Cf")
            else 1 + (unicodedata.east_asian_width(c) in "WF")
            for c in text
        )
    )


def shorten(text: str, limit: int) -> str:
    """At most `limit` cells: what is in the middle goes, since both ends of an instruction tell it apart."""
    keep, short = limit, text
    while cells(short) > limit:
        keep -= 1
        short = f"{text[: keep - keep // 3].rstrip()}…{text[len(text) - keep // 3 :].lstrip()}"
    return short


def isolate(text: str) -> str:
    """Keep right-to-left text from reordering the columns beside it (Unicode annex 9: isolates)."""
    rtl = not text.isascii() and any(unicodedata.bidirectional(c) in ("R", "AL") for c in text)
    return f"\u2068{text}\u2069" if rtl else text
