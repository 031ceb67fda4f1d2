"""Rehearse a lesson on a live engine, to record it.

A rehearsal runs every cell, asks in each new state what a student may ask there, and tries every
answer to every task. Then the notebook is stored as a replay of the recording.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labkit.commands import Result
from labkit.engine import Command
from labkit.errors import LabError
from labkit.lesson import Lesson, lessons_folder
from labkit.material import Task, Try
from labkit.tape import Recorder
from labkit.tasks import attempt_at, leave


class Unproven(LabError):
    """A task's solution does not pass, a wrong answer does, or one leaves something behind."""


class Rehearsal(Lesson):
    """A lesson that is being recorded, always live."""

    tape: Recorder
    live_tape = Recorder
    rehearsed = True

    def __init__(self, name: str, mode: str | None = None, folder: Path | None = None) -> None:
        super().__init__(name, "live", folder)

    def _fingerprints(self) -> list[Hashable]:
        return [each.fingerprint() for each in self.engines.values() if not each.modelled]

    def taped(self, command: Command, stdin: str | None, live: Callable[[], Result]) -> Result:
        before = self._fingerprints() if command.effect == "seen" else []
        result = live()
        after = self._fingerprints() if command.effect == "seen" else []
        moved = command.effect == "unseen" or after != before
        self.tape.record(command.key, stdin, result, moved)
        self.explored()
        return result

    def explored(self) -> None:
        if self.tape.new_here:
            self.world()
            for each in self.engines.values():
                each.explore(self)

    @contextlib.contextmanager
    def trial(self) -> Iterator[None]:
        """A try: at the end the tape is where it was, and so are the engines that can undo."""
        task = self.task
        with self.tape.trial(), contextlib.ExitStack() as stack:
            for each in self.engines.values():
                stack.enter_context(each.undone())
            yield
        self.task = task

    def made_ready(self, task: Task, set_up: Callable[[], None]) -> None:
        outside = self.world()
        set_up()
        undone = all(each.undoes for each in self.engines.values())
        nothing = Try(hint=" ")  # fails, with whatever hint
        for attempt in (nothing, *task.wrong, task.solution):
            with self.trial():
                self._prove(task, attempt, outside)
            if not undone:  # leaving the task has taken its things away
                with self.trial():
                    set_up()

    def _prove(self, task: Task, attempt: Try, outside: Mapping[str, Any]) -> None:
        """Raise :class:`Unproven` unless an answer has the verdict that the task says it has."""
        verdict = attempt_at(self, task, attempt)
        wanted = "fail" if attempt.hint else "pass"
        right = verdict.status == wanted and attempt.hint.strip() in verdict.text
        passing = {kind for each in self.engines.values() for kind in each.passing}
        left = leave(self) + [
            f"the {kind} are not as before the task"
            for kind, things in self.world().items()
            if things != outside[kind] and kind not in passing
        ]
        if not right:
            left.insert(0, f"it is told: {verdict.text}")
        if left:
            raise Unproven(f"Task {task.name}, {attempt}: {'; '.join(left)}")

    def foresee(self, begin: Callable[[], object], trials: Sequence[Callable[[], object]]) -> None:
        begin()
        for trial in trials:
            with self.trial():
                trial()
        leave(self)


def notebooks(lesson: str) -> list[Path]:
    """A lesson's notebooks, one a language. Raises :class:`LabError` if it has none."""
    found = sorted(lessons_folder().parent.glob(f"*/{lesson}-*.ipynb"))
    if not found:
        raise LabError(
            f"Lesson {lesson} has no notebook: notebooks/en/{lesson}-title.ipynb is where it "
            "should be."
        )
    return found


def record(name: str) -> Rehearsal:
    """Run a lesson's code cells on the live engines; the rehearsal holds the recording.

    Everything it made is removed again. Raises :class:`LabError` when there is no engine or it is
    not empty, or when a cell raises.
    """
    import nbformat
    from IPython.core.interactiveshell import InteractiveShell

    path = notebooks(name)[0]
    cells = nbformat.read(path, as_version=4).cells
    with contextlib.chdir(path.parent):
        fresh = Rehearsal(name)  # says at once if there is no engine
        fresh.reset()
        if crowded := [each.crowded for each in fresh.engines.values() if each.crowded]:
            raise LabError(
                "A lesson is recorded on an empty engine, so that all of it is seen to arrive; "
                f"{' '.join(crowded)}"
            )
        InteractiveShell.clear_instance()
        shell: Any = InteractiveShell.instance()
        try:
            shell.extension_manager.load_extension("labkit")
            magics = shell.magics_manager.registry["LabMagics"]
            magics.opens, magics.strict = Rehearsal, True
            for cell in cells:
                if cell.cell_type == "code":
                    _run(shell, name, cell.source)
            rehearsal = magics.current
            if not isinstance(rehearsal, Rehearsal):
                raise LabError(f"The notebook of lesson {name} never runs `%lesson {name}`.")
            if rehearsal.lacking:
                rehearsal.tape.header.note = f"There {rehearsal.lacking}"
            return rehearsal
        finally:
            fresh.reset()
            InteractiveShell.clear_instance()


def _run(shell: Any, name: str, source: str) -> None:
    """Run one cell. Raises :class:`LabError` if it fails."""
    from IPython.utils.capture import capture_output

    with capture_output() as shown:
        done = shell.run_cell(source)
    if not done.success:
        raise LabError(
            f"A cell of lesson {name} failed: {done.error_in_exec or done.error_before_exec}. "
            f"It was: {source[:60]!r} {shown.stdout[-200:]}"
        )


def store(path: Path) -> None:
    """Execute a notebook in replay and keep its outputs: what is committed is what replay shows."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        store_widget_state=False,
        record_timing=False,
        resources={"metadata": {"path": path.parent}},
    )
    try:
        client.execute(env={**os.environ, "LABKIT_MODE": "replay", "LABKIT_PROGRESS": "off"})
    except CellExecutionError as error:
        reason = str(error).strip().splitlines()[-1]
        raise LabError(f"{path.name} does not run in replay: {reason}") from None
    for cell in notebook.cells:  # widgets have random names; stored twice it is to be the same
        for number, output in enumerate(cell.get("outputs", ())):
            if widget := output.get("data", {}).get("application/vnd.jupyter.widget-view+json"):
                widget["model_id"] = f"{cell.id}-{number}"
    kernel = notebook.metadata["kernelspec"]
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    nbformat.write(notebook, path)
