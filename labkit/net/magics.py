"""Networks in a notebook: ``%net`` ``%%net`` ``%%bytes``."""

from __future__ import annotations

from IPython.core.magic import cell_magic, line_cell_magic, magics_class

from labkit.docker.output import bars
from labkit.errors import LabError
from labkit.magics import LessonMagics, shown
from labkit.messages import _
from labkit.net import twin
from labkit.net.engine import MODEL, Console
from labkit.net.picture import pasted
from labkit.show import output as show
from labkit.show.progress import Live
from labkit.words import split


@magics_class
class MAGICS(LessonMagics):
    """The magics of networks, which are mostly a model's."""

    @line_cell_magic
    @shown(shows_refusals=True, badge=False)
    def net(self, line: str, cell: str | None = None) -> None:
        """``%%net`` and lines that describe a network build it; ``%net ping ana eva`` works on it.

        ``%net up``, ``%net compare ana eva`` and ``%net down`` are its live twin in containers.
        """
        words = split(line)
        lesson = self.now()
        console: Console = lesson.engine("net")
        if cell is not None:
            if words:
                raise LabError(
                    "Use it as `%%net`, with the network in the lines below; a command has one %."
                )
            show.put(show.figure(_(MODEL), console.load(cell)))
        elif words and words[0] in twin.COMMANDS:
            live = Live(bars)
            answer = console.do(words, live.hear)
            live.end(show.figure(lesson.badge, answer))
        else:
            show.put(show.figure(_(MODEL), console.do(words)))

    @cell_magic
    @shown(badge=False)
    def bytes(self, line: str, cell: str) -> None:
        """``%%bytes [ip]`` and bytes in hex, as tcpdump -xx prints them: whose header is which."""
        self.now()
        first = {"": "Ethernet", "ip": "IPv4"}.get(line.strip())
        if not first:
            raise LabError(
                "Use it as `%%bytes` for a frame, or `%%bytes ip` for a packet without Ethernet."
            )
        show.put(show.figure(_(MODEL), pasted(cell, first)))
