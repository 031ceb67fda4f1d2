"""The magics: ``%docker …`` exactly as in a terminal, and what makes a lesson of it.

``%doctor`` ``%lesson`` ``%docker`` ``%%docker`` ``%forest`` ``%layers`` ``%explore`` ``%before_after`` ``%VBoxManage``
and the other programs of the bench, ``%guest_read`` ``%folder`` ``%snapshots`` ``%what_if`` ``%disk`` ``%disk_panel``
``%snapshot_panel`` ``%%commands`` ``%net`` ``%%net`` ``%net_panel`` ``%net_steps`` ``%%bytes`` ``%tunnel``
``%tunnel_panel`` ``%task`` ``%check`` ``%hint`` ``%solution`` ``%predict`` ``%answer``
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from IPython.core.magic import (
    Magics,
    cell_magic,
    line_cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
)

from labkit import tasks
from labkit import words as shellwords
from labkit.disks import human
from labkit.docker import command_line as syntax
from labkit.docker.progress import bars
from labkit.errors import Interrupted, LabError
from labkit.lesson import Lesson, ending
from labkit.net import tunnelling
from labkit.net.engine import LIVE, MODEL
from labkit.show import output as show
from labkit.show.progress import Live
from labkit.show.text import clean
from labkit.virtualbox import engine as bench
from labkit.words import split

_ENDLESS = {
    "events": "`docker ps -a` shows what happened to containers",
    "stats": "add `--no-stream` for one reading",
    "logs": "leave out -f: `docker logs NAME` shows all so far",
    "attach": "`docker logs NAME` shows what it printed, `docker exec NAME command` runs something in it",
}


def teaching(magic: Callable[..., Any]) -> Callable[..., Any]:
    """Take the words as typed; show a :class:`LabError` as one line; an interrupt also stops the cells that wait."""

    @functools.wraps(magic)
    def wrapped(self: LabMagics, *args: Any) -> Any:
        try:
            return magic(self, *args)
        except Interrupted:
            raise
        except KeyboardInterrupt:  # while labkit was reading, not running a command
            raise LabError(
                "Stopped by you; nothing has changed. Run the cell again when you like."
            ) from None
        except LabError as error:
            if (
                self.current
                and self.current.tape.mode == "record"
                and magic.__name__ not in ("docker", "net")
            ):
                raise  # only a command that is refused may be what a lesson shows
            ours = magic.__name__.startswith(("net", "bytes", "tunnel"))  # no engine has said that
            show.put(
                show.message(
                    "unknown", str(error), self.current.badge if self.current and not ours else ""
                )
            )
            return None

    return no_var_expand(wrapped)


@magics_class
class LabMagics(Magics):
    """All magics of a notebook, sharing the lesson in progress."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.current: Lesson | None = None  # the lesson in progress
        self._hints: dict[str, int] = {}
        for program in (
            *bench.PROGRAMS,
            *bench.OWN,
        ):  # under the name it has in a terminal, and under one Python takes
            runs = no_var_expand(functools.partial(self.program, program))
            for name in {program, program.lower(), program.replace("-", "_")}:
                shell.register_magic_function(runs, "line_cell", name)

    def _now(self) -> Lesson:
        if not self.current:
            raise LabError(
                "No lesson has begun in this notebook: run its `%lesson` cell, then this one."
            )
        return self.current

    def _say(self, kind: str, text: str, badge: bool = True) -> None:
        show.put(show.message(kind, text, self._now().badge if badge else ""))

    @line_magic
    @teaching
    def lesson(self, line: str) -> None:
        """``%lesson NAME [live|replay]``: begin (again); remove what an earlier run of this lesson left."""
        words = split(line)
        if not 1 <= len(words) <= 2:
            raise LabError(
                "Say which lesson: `%lesson 12`, or `%lesson 12 replay` to use the recording."
            )
        self.current = None
        lesson = Lesson(words[0], words[1] if len(words) == 2 else None)
        self._hints.clear()
        notes = lesson.reset()
        self.current = lesson
        note = (
            lesson.tape.header.get("note", "") if lesson.tape.mode == "replay" else lesson.lacking
        )
        badge = ". ".join(part for part in (lesson.badge, lesson.why.rstrip("."), note) if part)
        show.put(show.message("note", "\n".join([f"Lesson {lesson.name} begins.", *notes]), badge))

    @line_magic
    @teaching
    def doctor(self, line: str) -> None:
        """``%doctor``: what this machine has for the course, and how to get what is missing."""
        from labkit.doctor import examine

        for fine, text in examine():
            show.put(show.message("pass" if fine else "fail", text))

    @line_cell_magic
    @teaching
    def docker(self, line: str, cell: str | None = None) -> None:
        """``%docker …`` runs the command as typed; the body of ``%%docker …`` is its standard input."""
        lesson, argv = self._now(), split(line)
        words = syntax.parse(argv)
        if (
            words.name in ("run", "exec")
            and words.has("-i", "--interactive")
            and words.has("-t", "--tty")
            and not words.has("-d", "--detach")
        ):
            raise LabError(
                f"`{words.name} -it` waits for a keyboard, and a cell has none. Run one command "
                "(`docker exec NAME ls /`), or send lines with `%%docker run -i …` and the lines below "
                "it, or open a terminal: File, New, Terminal."
            )
        endless = words.name in _ENDLESS and not words.has("--help", "--no-stream", "--until")
        if endless and (words.name != "logs" or words.has("-f", "--follow")):
            raise LabError(
                f"`docker {line.strip()[:40]}` never ends, and a cell must; {_ENDLESS[words.name]}."
            )
        live = Live(bars)
        slow = words.name in ("pull", "build", "run", "load", "push")
        result = lesson.command(["docker", *argv], cell, live.hear if slow else None)
        note = ending(result)
        if result.code and "Conflict. The container name" in result.err:
            note += " " + self._whose(words, result.err)
        live.end(show.output(lesson.badge, result.text, note))

    @teaching
    def program(self, name: str, line: str, cell: str | None = None) -> None:
        """``%VBoxManage …`` and the like run the command as typed, in the lesson's folder; a cell's body is input.

        ``%guest_write MACHINE PAGE "text"`` writes into the machine's disk as its guest would.
        """
        lesson = self._now()
        argv = [name, *lesson.words(f"{name} {line}")[1:]]
        live = Live(bars)
        result = lesson.command(argv, cell, live.hear if bench.slow(argv) else None)
        took = f"{lesson.badge} · took {result.seconds:.2f} s"
        live.end(show.output(took, bench.brief(result), ending(result)))

    @cell_magic
    @teaching
    def commands(self, line: str, cell: str) -> None:
        """``%%commands``: each line of the cell is a command, run one after another until one fails; # is a comment."""
        lesson, said, note, seconds = self._now(), list[str](), "", 0.0
        try:
            for typed in (
                line.strip()
                for line in cell.splitlines()
                if line.strip() and line.strip()[0] != "#"
            ):
                said.append(f"$ {typed}")
                if typed[0] in "%!":
                    raise LabError(
                        f"In `%%commands` each line is a command as in a terminal: without {typed[0]}."
                    )
                result = lesson.command(lesson.words(typed))
                seconds += result.seconds
                said += filter(None, [bench.brief(result).rstrip("\n")])
                if result.code:
                    note = ending(result)
                    break
        finally:  # also when a later line cannot be run: those before it were
            show.put(show.output(f"{lesson.badge} · took {seconds:.2f} s", "\n".join(said), note))

    def _whose(self, words: syntax.Words, said: str) -> str:
        lesson = self._now()
        name = (re.search(r'name "/?([^"]+)"', said) or ["", ""])[1]
        thing = lesson.container(name)
        mine = not lesson.docker or not thing or lesson.docker.owns("containers", thing)
        return (
            f"This lesson already has a container {name}: `docker rm -f {name}` first, or go on."
            if mine
            else f"{name} is a container of your own: labkit does not touch it. Use another name here."
        )

    @line_magic
    @teaching
    def forest(self, line: str) -> None:
        """``%forest [NAME …]``: draw the local images (or those called NAME, ``x*`` for many) by ChainID."""
        lesson = self._now()
        names = tuple(split(line))
        forest = lesson.forest(names)
        tree = forest.tree(lesson.drawn.get(names), lesson.seen)
        lesson.drawn[names] = forest
        lesson.seen.update(node["key"] for node in tree.data()["nodes"])
        show.put(show.figure(lesson.badge, tree))

    @line_magic
    @teaching
    def layers(self, line: str) -> None:
        """``%layers IMAGE``: what each layer adds, changes and removes."""
        lesson = self._now()
        image = lesson.layers(_one(line, "%layers IMAGE"))
        show.put(show.output(lesson.badge, str(image)))

    @line_magic
    @teaching
    def explore(self, line: str) -> None:
        """``%explore IMAGE [IMAGE]``: the layer explorer, two images side by side if two are named."""
        from labkit.widgets import explorer

        names = split(line)
        show.put(explorer(self._now(), names)._repr_mimebundle_())

    @line_magic
    @teaching
    def before_after(self, line: str) -> None:
        """``%before_after docker …``: a panel that runs the command and shows the forest before and after."""
        from labkit.widgets import before_after

        show.put(before_after(self._now(), line)._repr_mimebundle_())

    @line_magic
    @teaching
    def folder(self, line: str) -> None:
        """``%folder``: the files in the lesson's own folder and their sizes."""
        lesson = self._now()
        if line.strip():
            raise LabError("Use it as `%folder`: it lists all files of the lesson.")
        files = lesson.files()
        wide = max((len(human(size)) for size in files.values()), default=0)
        lines = [f"{human(size):>{wide}}  {clean(name)}" for name, size in files.items()]
        show.put(show.output(lesson.badge, "\n".join(lines) or "(empty)"))

    @line_magic
    @teaching
    def guest_read(self, line: str) -> None:
        """``%guest_read MACHINE``: the texts at the start of the pages of its disk, as its guest would read them."""
        lesson = self._now()
        texts = lesson.guest(_one(line, "%guest_read MACHINE"))
        lines = [f"page {page}: {clean(text)}" for page, text in enumerate(texts) if text]
        show.put(show.output(lesson.badge, "\n".join(lines) or "(nothing but zeros)"))

    @line_magic
    @teaching
    def snapshots(self, line: str) -> None:
        """``%snapshots [MACHINE …]``: machines, snapshots, disks and linked clones in one picture."""
        lesson = self._now()
        names = tuple(shellwords.split(line))
        graph = lesson.machines()
        graph = graph.only(*names) if names else graph
        show.put(show.figure(lesson.badge, graph.tree(lesson.drawn.get(("snapshots", *names)))))
        lesson.drawn["snapshots", *names] = graph
        for note in graph.notes:
            self._say("note", note, badge=False)

    @line_magic
    @teaching
    def what_if(self, line: str) -> None:
        """``%what_if VBoxManage snapshot M delete|restore S``: what that would merge or lose, before it is done."""
        lesson, words = self._now(), shellwords.split(line)
        if (
            len(words) != 5
            or bench.canonical(words[0]) != "VBoxManage"
            or words[1] != "snapshot"
            or words[3] not in ("delete", "restore")
        ):
            raise LabError(
                "Ask about a command that deletes or restores a snapshot: "
                "`%what_if VBoxManage snapshot MACHINE delete SNAPSHOT`."
            )
        graph = lesson.machines()
        ask = graph.deleting if words[3] == "delete" else graph.restoring
        preview = ask(words[2], words[4])
        show.put(
            show.message(
                "ask", "\n".join(["Nothing has been done yet.", *preview.lines]), lesson.badge
            )
        )

    @line_magic
    @teaching
    def disk(self, line: str) -> None:
        """``%disk FILE [FILE …]``: what a disk file says of itself, and where the guest's blocks are in it."""
        from labkit.disks.strip import StripFigure

        lesson, names = self._now(), shellwords.split(line, ("PWD",))
        if not names:
            raise LabError(
                "Name a disk file of the lesson: `%disk lab07.vdi`; `%folder` lists them."
            )
        disks = [(name, lesson.disk(name)) for name in names]
        scale = max(
            StripFigure(disk).scale for _, disk in disks
        )  # one for all, so that lengths can be compared
        for name, disk in disks:
            before = lesson.drawn.get(("disk", name))
            strip = StripFigure(disk, before, name, scale)
            lesson.drawn["disk", name] = disk
            text = str(disk) if len(disks) == 1 else ""
            fields = (
                [(str(f.offset), f.name, f.value, f.meaning) for f in disk.fields] if text else []
            )
            html = str(show.badge_html(lesson.badge)) + str(
                show.table(("byte", "field", "value", "meaning"), fields)
            )
            show.put(
                {
                    "text/plain": "\n".join(filter(None, [lesson.badge, text, str(strip)])),
                    "text/html": f"<div>{html}{strip.html()}</div>",
                }
            )

    @line_magic
    @teaching
    def disk_panel(self, line: str) -> None:
        """``%disk_panel [SIZE]``: write at a place in the guest's disk, and watch two files grow, or not."""
        from labkit.widgets import disk_panel

        size = shellwords.number(
            line.strip() or "16",
            8,
            256,
            "Use it as `%disk_panel` or `%disk_panel 32`: the size in MiB, from 8 to 256.",
        )
        show.put(disk_panel(self._now(), size)._repr_mimebundle_())

    @line_magic
    @teaching
    def snapshot_panel(self, line: str) -> None:
        """``%snapshot_panel MACHINE``: take, restore, delete, clone, and see the tree change."""
        from labkit.widgets import snapshot_panel

        show.put(
            snapshot_panel(self._now(), _one(line, "%snapshot_panel MACHINE"))._repr_mimebundle_()
        )

    @line_cell_magic
    @teaching
    def net(self, line: str, cell: str | None = None) -> None:
        """``%%net`` and lines that describe a network build it; ``%net ping ana eva`` and the like work on it.

        ``%net up``, ``%net compare ana eva`` and ``%net down`` are its live twin in containers.
        """
        lesson, words = self._now(), split(line)
        if cell is not None:
            if words:
                raise LabError(
                    "Use it as `%%net`, with the network in the lines below; a command has one %."
                )
            show.put(show.figure(MODEL, lesson.console.load(cell)))
        elif words and words[0] in LIVE:
            live = Live(bars)
            answer = lesson.net(words, live.hear)
            live.end(show.figure(lesson.badge, answer))
        else:
            show.put(show.figure(MODEL, lesson.console.do(words)))

    @line_magic
    @teaching
    def net_panel(self, line: str) -> None:
        """``%net_panel``: choose the VLAN of each host's port, and see at once who reaches whom and why not."""
        from labkit.net.panels import net_panel

        show.put(net_panel(self._now())._repr_mimebundle_())

    @line_magic
    @teaching
    def net_steps(self, line: str) -> None:
        """``%net_steps``: go through the last journey, frame by frame."""
        from labkit.net.panels import net_steps

        show.put(net_steps(self._now())._repr_mimebundle_())

    @cell_magic
    @teaching
    def bytes(self, line: str, cell: str) -> None:
        """``%%bytes [ip]`` and bytes in hex, as tcpdump -xx prints them: which header each belongs to."""
        self._now()
        first = {"": "Ethernet", "ip": "IPv4"}.get(line.strip())
        if not first:
            raise LabError(
                "Use it as `%%bytes` for a frame, or `%%bytes ip` for a packet without Ethernet."
            )
        show.put(show.figure(MODEL, tunnelling.pasted(cell, first)))

    @line_magic
    @teaching
    def tunnel(self, line: str) -> None:
        """``%tunnel KIND ["text"]``: a packet through a tunnel, and the wire outside; ``%tunnel help`` tells more."""
        self._now()
        show.put(show.figure(MODEL, tunnelling.do(split(line))))

    @line_magic
    @teaching
    def tunnel_panel(self, line: str) -> None:
        """``%tunnel_panel``: choose a tunnel, and see what an eavesdropper on the wire sees."""
        from labkit.net.panels import tunnel_panel

        show.put(tunnel_panel(self._now())._repr_mimebundle_())

    @line_magic
    @teaching
    def task(self, line: str) -> None:
        """``%task NAME``: start a task (again)."""
        lesson, task = self._now(), self._task(_one(line, "%task NAME"))
        notes = tasks.begin(lesson, task)
        self._hints[task.name] = 0
        self._say(
            "ask",
            "\n".join(
                [
                    f"Task {task.name}: solve it in the next cell, then run `%check {task.name}`. "
                    f"Stuck? `%hint {task.name}`",
                    *notes,
                ]
            ),
        )

    @line_magic
    @teaching
    def check(self, line: str) -> None:
        """``%check NAME [ANSWER]``: is the task solved, and if not, why not."""
        name, _, answer = line.strip().partition(" ")
        task = self._task(name)
        found = tasks.finish(self._now(), task, answer)
        text = f"Cannot tell: {found.text}" if found.status == "unknown" else found.text
        self._say(found.status, text)

    @line_magic
    @teaching
    def hint(self, line: str) -> None:
        """``%hint NAME``: the next hint."""
        task = self._task(_one(line, "%hint NAME"))
        at = self._hints.get(task.name, 0)
        self._hints[task.name] = at + 1
        if at < len(task.hints):
            self._say("note", task.hints[at], badge=False)
        else:
            self._say("note", f"No more hints; `%solution {task.name}` shows one way.", badge=False)

    @line_magic
    @teaching
    def solution(self, line: str) -> None:
        """``%solution NAME``: one way to do it."""
        task = self._task(_one(line, "%solution NAME"))
        lines = [
            *(f"%{command}" for command in task.solution.commands),
            *([f"%check {task.name} {task.solution.answer}"] if task.solution.answer else []),
        ]
        self._say("note", "One way:\n" + "\n".join(f"`{line}`" for line in lines), badge=False)

    @line_magic
    @teaching
    def predict(self, line: str) -> None:
        """``%predict NAME [LETTER]``: commit to an answer before running (with a LETTER: without the mouse)."""
        from labkit.widgets import chooser

        lesson, words = self._now(), split(line)
        asked = tasks.material(lesson.folder).prediction(words[0] if words else "")
        if len(words) > 1:
            if words[1].upper() not in asked.choices:
                raise LabError(f"Choose one of {', '.join(asked.choices)}.")
            lesson.committed.setdefault(asked.name, words[1].upper())
        show.put(chooser(lesson, asked)._repr_mimebundle_())

    @line_magic
    @teaching
    def answer(self, line: str) -> None:
        """``%answer NAME``: what really happened, and why the other choices are wrong."""
        lesson = self._now()
        asked = tasks.material(lesson.folder).prediction(_one(line, "%answer NAME"))
        right, said = asked.right(lesson), lesson.committed.get(asked.name)
        truth = f"{right}) {asked.choices[right]} {asked.why[right]}"
        if said is None:
            self._say(
                "note",
                f"{truth}\nYou had not committed to an answer: next time choose before you run.",
            )
        elif said == right:
            self._say("pass", f"You predicted it. {truth}")
        else:
            self._say(
                "fail",
                f"You said {said}) {asked.choices[said]} {asked.why[said]}\nWhat happened: {truth}",
            )

    def _task(self, name: str) -> tasks.Task:
        return tasks.material(self._now().folder).task(name)


def _one(line: str, usage: str) -> str:
    words = split(line)
    if len(words) != 1:
        raise LabError(f"Use it as `{usage}`.")
    return words[0]
