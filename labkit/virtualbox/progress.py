"""How far a command is, read from VBoxManage's words so far."""

from __future__ import annotations

import re

from labkit.show.progress import Bar

_LAST_PERCENT = re.compile(r"(?:^|\.\.\.)(\d+)%(?!.*\d%)", re.M)  # of 0%...10%...20%...


def bars(text: str) -> list[Bar]:
    """One bar, at the last percent of the line being written; none if that line has none.

    Of a text whose last line is finished, the first line with one counts.
    """
    unfinished = text.rpartition("\n")[2]
    percent = _LAST_PERCENT.search(unfinished or text.rstrip())
    return [Bar("progress", int(percent[1]))] if percent else []
