"""Record a lesson on a live engine, and store its notebook as a replay of that recording."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

from labkit.errors import LabError
from labkit.lesson import Lesson, lessons_folder


def notebooks(lesson: str) -> list[Path]:
    """A lesson's notebooks, one a language. Raises :class:`LabError` if it has none."""
    found = sorted(lessons_folder().parent.glob(f"*/{lesson}-*.ipynb"))
    if not found:
        raise LabError(
            f"Lesson {lesson} has no notebook: notebooks/en/{lesson}-title.ipynb is where it should be."
        )
    return found


@contextlib.contextmanager
def _setting(folder: Path, **variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def record(name: str) -> Lesson:
    """Run a lesson's code cells against the live engine, exploring its tasks; the lesson holds the tape.

    Everything it made is removed again. Raises :class:`LabError` when there is no engine or it is not
    empty, or when a cell raises.
    """
    import nbformat
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    path = notebooks(name)[0]
    cells = [
        cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
    ]
    with _setting(path.parent, LABKIT_MODE="record", LABKIT_PROGRESS="off"):
        fresh = Lesson(name, "record")  # says at once if there is no engine
        fresh.reset()
        world = fresh.world()
        # Else a pull would say "up to date", and a name could be taken.
        if there := [*world.get("images", ()), *world.get("containers", ())]:
            raise LabError(
                "A lesson is recorded on an empty engine, so that all of it is seen to arrive; this one "
                f"has {len(there)} images and containers of its own."
            )
        InteractiveShell.clear_instance()
        shell = InteractiveShell.instance()
        try:
            for source in cells:
                with capture_output() as said, contextlib.redirect_stderr(io.StringIO()):
                    done = shell.run_cell(source)
                if not done.success:
                    raise LabError(
                        f"A cell of lesson {name} failed: {done.error_in_exec or done.error_before_exec}. "
                        f"It was: {source[:60]!r} {said.stdout[-200:]}"
                    )
            magics = shell.magics_manager.registry.get("LabMagics")
            lesson = getattr(magics, "current", None)
            if not isinstance(lesson, Lesson):
                raise LabError(f"The notebook of lesson {name} never runs `%lesson {name}`.")
            if lesson.lacking:
                lesson.tape.header["note"] = f"There {lesson.lacking}"
            return lesson
        finally:
            fresh.reset()
            InteractiveShell.clear_instance()


def store(path: Path) -> None:
    """Execute a notebook in replay and keep its outputs: what is committed is what replay shows."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.read(path, as_version=4)
    with _setting(path.parent, LABKIT_MODE="replay", LABKIT_PROGRESS="off"):
        try:
            NotebookClient(
                notebook,
                timeout=120,
                kernel_name="python3",
                store_widget_state=False,
                record_timing=False,
            ).execute()
        except CellExecutionError as error:
            raise LabError(
                f"{path.name} does not run in replay: {str(error).strip().splitlines()[-1]}"
            ) from None
    for (
        cell
    ) in notebook.cells:  # widgets have random names, and a notebook stored twice is to be the same
        for n, output in enumerate(cell.get("outputs", ())):
            if widget := output.get("data", {}).get("application/vnd.jupyter.widget-view+json"):
                widget["model_id"] = f"{cell.id}-{n}"
    notebook.metadata = {
        "kernelspec": notebook.metadata["kernelspec"],
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, path)
