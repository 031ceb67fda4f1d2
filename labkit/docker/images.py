"""The images that lessons need: pulled before class, or built from a recipe that a lesson owns.

A recipe is ``lessons/NN/images/NAME/Dockerfile``; its image is ``labNN/NAME``, built when a command
first names it, kept till ``labkit reset prefetched``, and used without a network from then on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from labkit.commands import Result
from labkit.docker.client import Client
from labkit.docker.command_line import full_name
from labkit.errors import LabError
from labkit.messages import _

Run = Callable[[Sequence[str]], Result]  # runs a docker command whose things are kept
_NAME = re.compile(r"lab(\w+)/([\w.-]+):latest")
_FAILED = re.compile(r"(?:E: |ERROR: |[Ff]ailure ).*")


class Recipe(NamedTuple):
    """How a lesson's image is built: the ``folder`` with its Dockerfile."""

    lesson: str
    folder: Path

    @property
    def name(self) -> str:
        """What commands call the image."""
        return f"lab{self.lesson}/{self.folder.name}"

    @property
    def tag(self) -> str:
        """The name of just this image: another recipe is another image. Raises LabError."""
        recipe = self.folder / "Dockerfile"
        try:
            digest = hashlib.sha256(_content(recipe))
            for path in sorted(self.folder.rglob("*")):  # what it copies
                if path.is_file() and path != recipe:
                    name = path.relative_to(self.folder).as_posix()
                    digest.update(b"\0%b\0%b" % (name.encode(), _content(path)))
        except OSError:
            raise LabError(
                "Lesson {lesson} has no recipe of an image {name}.",
                lesson=self.lesson,
                name=self.folder.name,
            ) from None
        return f"{self.name}:{digest.hexdigest()[:12]}"


def _content(path: Path) -> bytes:
    """A file, the same however git wrote the ends of its lines."""
    return path.read_bytes().replace(b"\r\n", b"\n")


def recipes(lesson: str, folder: Path) -> list[Recipe]:
    """The recipes that lie in a lesson's folder."""
    return [Recipe(lesson, path.parent) for path in sorted(folder.glob("images/*/Dockerfile"))]


def recipe_of(image: str, lessons: Path) -> Recipe | None:
    """The recipe of an image as a command names it; None if it is not one of a lesson's."""
    named = _NAME.fullmatch(full_name(image))
    if not named:
        return None
    recipe = Recipe(named[1], lessons / named[1] / "images" / named[2])
    return recipe if (recipe.folder / "Dockerfile").is_file() else None


def build(recipe: Recipe, client: Client, run: Run) -> str:
    """Build a recipe's image if it is not there; its tag. Raises :class:`LabError`."""
    tag = recipe.tag
    if client.inspect("image", tag):
        return tag
    # The engine's own network fetches packages, also where containers get none, or no names.
    options = ["--force-rm", "--network", "host", "--tag", tag]
    result = run(["docker", "build", *options, str(recipe.folder)])
    if result.code:
        lines = [*_FAILED.findall(result.text)[:1], *result.text.splitlines()[-1:]]
        raise LabError(
            "The image {name} could not be built: {reason:.200}. It needs the Internet once "
            "(`labkit prefetch` before class); without it read the recorded outputs.",
            name=recipe.name,
            reason=next(filter(None, lines), _("no reason given")),
        )
    return tag


def ready(recipe: Recipe, client: Client, run: Run) -> None:
    """Have a lesson's image under the name that commands use. Raises :class:`LabError`."""
    tag, name = build(recipe, client, run), f"{recipe.name}:latest"
    if client.thing("images", tag) != client.thing("images", name):
        run(["docker", "tag", tag, name])


def pulled(folder: Path) -> set[str]:
    """The images that were pulled when the lesson of a folder was recorded."""
    recording = folder / "recording.json"
    text = recording.read_text("utf-8") if recording.is_file() else ""
    return set(re.findall(r"Status: \w[\w ]+ for ([\w./:-]+)", text))


def pull(name: str, run: Run) -> None:
    """Pull one image. Raises :class:`LabError` with the engine's reason."""
    result = run(["docker", "pull", "--quiet", name])
    if result.code:
        reason = result.err.strip().splitlines()[-1]
        raise LabError("{name} could not be fetched: {reason}", name=name, reason=reason)
