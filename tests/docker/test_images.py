"""The images that lessons own: built from their recipes on first use or before class, and kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from engines.dockerd import HUB
from live import Lab, Student, inventory, plain, private, using
from samples.docker_lesson import lesson_folder
from samples.errors import refused

from labkit.cli import main
from labkit.docker.images import Recipe, pulled, recipe_of, recipes
from labkit.engine import PREFETCHED
from labkit.lesson import Lesson
from labkit.rehearse import Rehearsal
from labkit.words import split

RECIPE = "FROM busybox\nRUN echo {word} > /word\n"


class Course:
    """A course of one lesson, which owns an image ``lab77/tool``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipe = Recipe("77", folder / "images" / "tool")
        self.recipe.folder.mkdir(parents=True)
        self.write(RECIPE.format(word="one"))

    def write(self, text: str, name: str = "Dockerfile") -> None:
        (self.recipe.folder / name).write_text(text, newline="")

    def lesson(self) -> Lesson:
        return Lesson("77", "live", self.folder)

    def run(self, line: str, lesson: Lesson | None = None) -> tuple[str, bool]:
        """What a command of the lesson prints, and whether an image was built for it."""
        heard: list[str] = []
        asked = lesson or self.lesson()
        result = asked.command(["docker", *split(line)], heard=heard.append)
        assert result.code == 0, result.text
        return result.out.strip(), "Step 1/" in "".join(heard)


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    monkeypatch.chdir(tmp_path)
    return Course(lesson_folder(tmp_path))


# -- recipes ------------------------------------------------------------------------------------


def test_a_recipe_is_found_by_the_name_that_commands_use(course: Course) -> None:
    assert course.recipe.name == "lab77/tool"
    assert recipes("77", course.folder) == [course.recipe]
    for name in ("lab77/tool", "lab77/tool:latest", "docker.io/lab77/tool"):
        assert recipe_of(name, course.folder.parent) == course.recipe
    others = ["tool", "lab77/other", "lab78/tool", "lab77/tool:1", "lab77/tool@sha256:ab"]
    for name in (*others, "lab77/..", "lab77/../../77/images/tool", "lab/tool", ""):
        assert recipe_of(name, course.folder.parent) is None, name


def test_another_recipe_is_another_image(course: Course) -> None:
    """Told by what it says and what it copies, not by how git wrote the ends of lines."""
    plain_tag = course.recipe.tag
    assert plain_tag.startswith("lab77/tool:")
    course.write(RECIPE.format(word="one").replace("\n", "\r\n"))
    assert course.recipe.tag == plain_tag
    tags = {plain_tag}
    for name, text in (("Dockerfile", "FROM x\n"), ("data", ""), ("data", "1"), ("etc", "1")):
        course.write(text, name)
        tags.add(course.recipe.tag)
    assert len(tags) == 5
    (course.recipe.folder / "Dockerfile").unlink()
    assert "Lesson 77 has no recipe of an image tool" in refused(lambda: course.recipe.tag)


def test_what_a_recording_pulled_is_fetched_before_class(tmp_path: Path) -> None:
    (tmp_path / "recording.json").write_text(
        '"out Status: Downloaded newer image for httpd:latest\\n"\n'
        '"out Status: Image is up to date for localhost:5000/me/app:1.2\\n"\n'
        '"out Status: Downloaded newer image for httpd:latest\\n"\n'
    )
    assert pulled(tmp_path) == {"httpd:latest", "localhost:5000/me/app:1.2"}
    assert pulled(tmp_path / "nowhere") == set()


# -- on an engine -------------------------------------------------------------------------------


@pytest.mark.live("docker")
def test_built_when_first_used_and_kept_till_prefetched_is_reset(lab: Lab, course: Course) -> None:
    before = inventory()
    lesson = course.lesson()
    assert course.run("run --name t1 lab77/tool cat /word", lesson) == ("one", True)
    assert course.run("run --rm lab77/tool:latest cat /word", lesson) == ("one", False)
    assert {entry[0] for entry in lab.made("77")} == {"container"}
    tags = {entry[1] for entry in lab.made(PREFETCHED) if entry[0] == "tag"}
    assert tags == {"lab77/tool:latest", course.recipe.tag, "busybox:latest"}
    kept = {**inventory(), "container": before["container"]}
    assert lesson.reset() == [] and inventory() == kept
    assert course.run("create lab77/tool", lesson)[1] is False
    assert main(["reset"]) == 0 and inventory() == kept
    assert main(["reset", "77"]) == 0 and inventory() == kept
    assert main(["reset", "prefetched"]) == 0 and inventory() == before


@pytest.mark.live("docker")
def test_built_before_class(lab: Lab, course: Course, capsys: pytest.CaptureFixture[str]) -> None:
    before = inventory()
    lesson_folder(course.folder.parents[1], "78")
    assert main(["prefetch", "78"]) == 0 and inventory() == before
    for _ in range(2):  # the second time there is nothing to do
        assert main(["prefetch"]) == 0
        assert capsys.readouterr().out == f"✔ {course.recipe.tag}\n"
    assert course.run("run lab77/tool cat /word") == ("one", False)
    assert lab.of("77").clean() == [] == lab.of(PREFETCHED).clean()
    assert inventory() == before


@pytest.mark.live("docker")
def test_built_anew_when_the_recipe_changes(lab: Lab, course: Course) -> None:
    before = inventory()
    assert course.run("run lab77/tool cat /word") == ("one", True)
    course.write(RECIPE.format(word="two") + "COPY data /\n")
    course.write("a", "data")
    assert course.run("run lab77/tool cat /word /data") == ("two\na", True)
    course.write("b", "data")
    assert course.run("run lab77/tool cat /word /data") == ("two\nb", True)
    course.write(RECIPE.format(word="one"))
    (course.recipe.folder / "data").unlink()
    assert course.run("run lab77/tool cat /word") == ("one", False)  # all are kept
    assert main(["reset"]) == 0 == main(["reset", "prefetched"])
    assert inventory() == before


@pytest.mark.live("docker")
def test_another_lesson_may_use_it_and_a_rehearsal_leaves_nothing(lab: Lab, course: Course) -> None:
    before = inventory()
    other = Lesson("78", "live", lesson_folder(course.folder.parents[1], "78"))
    assert course.run("run lab77/tool cat /word", other) == ("one", True)
    assert other.reset() == [] and inventory() != before
    assert main(["reset", "prefetched"]) == 0 and inventory() == before
    rehearsal = Rehearsal("77", folder=course.folder)
    assert course.run("run lab77/tool cat /word", rehearsal) == ("one", True)
    assert rehearsal.reset() == [] and inventory() == before


@pytest.mark.live("docker")
def test_a_name_of_the_students_is_never_taken(lab: Lab, student: Student, course: Course) -> None:
    image = student.image("lab77/tool", "LABEL mine=1", base="busybox")
    lesson = course.lesson()
    said = refused(lesson.command, ["docker", "run", "lab77/tool"])
    assert "lab77/tool:latest is an image of your own" in said
    assert plain("inspect", "--format", "{{.Id}}", "lab77/tool") == image
    assert main(["reset", "prefetched"]) == 0
    assert plain("inspect", "--format", "{{.RepoTags}}", image) == "[lab77/tool:latest]"
    student("rmi", "lab77/tool")
    assert course.run("run --rm lab77/tool cat /word", lesson) == ("one", True)


@pytest.mark.live("docker")
def test_a_build_that_fails_is_one_line_and_can_be_mended(
    lab: Lab, course: Course, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson = course.lesson()
    course.write("FROM busybox\nRUN printf 'E%s\\n' ': no such package' >&2; false\n")
    said = refused(lesson.command, ["docker", "run", "lab77/tool"])
    assert "The image lab77/tool could not be built: E: no such package." in said
    assert main(["prefetch", "77"]) == 1
    assert capsys.readouterr().err == f"labkit: {said}\n"
    assert plain("ps", "-aq") == ""
    course.write(RECIPE.format(word="one"))
    assert course.run("run lab77/tool cat /word", lesson) == ("one", True)


@pytest.mark.live("docker")
def test_once_built_it_needs_no_network(
    course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "http://127.0.0.1:1"
    course.write(f"FROM busybox\nRUN wget -q -O /word {HUB}/v2/\n")  # as packages are fetched
    with private() as engine, using(engine, tmp_path / "docker-config"):
        assert main(["prefetch", "77"]) == 0
        engine.stop()
        engine.argv = [word.replace(HUB, nowhere) for word in engine.argv]
        monkeypatch.setenv("HTTPS_PROXY", nowhere)
        engine.start()
        lesson = course.lesson()
        assert lesson.command(["docker", "pull", "hello-world"]).code
        assert course.run("run --rm lab77/tool cat /word", lesson) == ("{}", False)
