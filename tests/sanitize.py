"""What nbval leaves aside when it compares a live run with what is stored."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

RULES = configparser.RawConfigParser()
RULES.read(Path(__file__).with_name("sanitize.cfg"), "utf-8")


def sanitised(text: str) -> str:
    """The text as nbval compares it in live mode."""
    for name in RULES.sections():
        text = re.sub(RULES[name]["regex"], RULES[name]["replace"], text, flags=re.MULTILINE)
    return text
