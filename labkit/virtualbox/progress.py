"""How far VBoxManage is, read from its words so far."""

from __future__ import annotations

import re
from collections.abc import Sequence

from labkit.show.progress import Bar

_PERCENT = re.compile(r"(?:^|\.\.\.)(\d+)%(?!.*\d%)", re.M)  # 0%...10%...20%...


def bars(text: str) -> Sequence[Bar]:
    """One bar while the last line tells of percents."""
    percent = _PERCENT.search(text.rpartition("\n")[2] or text.rstrip())
    return [Bar("progress", int(percent[1]))] if percent else []
