"""Docker's magics on a recording: what is typed, right and wrong."""

from __future__ import annotations

import re

import pytest
from conftest import Notebook

from labkit.commands import Result
from labkit.docker import reads

PULLS = ["%docker pull busybox", "%docker pull debian:bookworm-slim", "%docker pull httpd"]
RUN = "%docker run -d --name lab12-one busybox sleep 1d"


@pytest.fixture
def twelve(replay: Notebook) -> Notebook:
    replay.run("%load_ext labkit\n%lesson 12")
    return replay


@pytest.fixture
def pulled(twelve: Notebook) -> Notebook:
    twelve.run("\n".join(PULLS))
    return twelve


# -- %docker ------------------------------------------------------------------------------------


def test_spellings_are_one(pulled: Notebook) -> None:
    images = {pulled.run(f"%docker {typed}") for typed in ("images", "image ls", "  'images'")}
    all_of_them = {pulled.run(f"%docker {typed}") for typed in ("ps -a", "container ls --all")}
    assert len(images) == len(all_of_them) == 1 and images != all_of_them


def test_exit_codes_and_advice_are_shown(replay: Notebook) -> None:
    replay.run("%load_ext labkit\n%lesson 00\n%docker run hello-world")
    *_, said, note = replay.words("%docker logs no-such-container")
    assert "No such container" in said and note == (
        "exit code 1. No container of that name: `docker ps -a` lists all, running or not."
    )


def test_a_command_that_was_not_recorded(pulled: Notebook) -> None:
    (text,) = pulled.words("%docker history nginx")
    nearest = "was not recorded; the nearest it has here is `docker history httpd`"
    assert nearest in text and "labkit doctor" in text


@pytest.mark.parametrize(
    "typed, said",
    [
        ("ps | head", "`|` belongs to a shell"),
        ("rm $(docker ps -q)", "`$(` belongs to a shell"),
        ("exec x sh -c 'ls", "A quote is opened and never closed"),
        ("run -it busybox", "waits for a keyboard"),
        ("run -i -t busybox sh", "waits for a keyboard"),
        ("run --interactive --tty --rm busybox", "waits for a keyboard"),
        ("container run -ti busybox", "waits for a keyboard"),
        ("exec -it x sh", "`exec -it` waits for a keyboard"),
        ("container exec -ti x sh", "waits for a keyboard"),
        ("events", "never ends"),
        ("stats", "add `--no-stream`"),
        ("stats x", "never ends"),
        ("logs -f x", "leave out -f"),
        ("logs x --follow", "leave out -f"),
        ("container logs -ft x", "leave out -f"),
        ("attach x", "never ends"),
        ("-H tcp://1.2.3.4 ps", "labkit talks to one engine"),
        ("--context x ps", "labkit talks to one engine"),
    ],
)
def test_what_a_cell_cannot_do_is_answered_with_what_to_do(
    twelve: Notebook, typed: str, said: str
) -> None:
    badge, line = twelve.run(f"%docker {typed}").splitlines()
    assert badge == twelve.badge and line.startswith("? ") and said in line


@pytest.mark.parametrize(
    "typed",
    [
        "run -dit busybox",
        "logs x",
        "stats --no-stream",
        "events --until 0s",
        "run -t busybox",
        "logs --help",
        "attach --help",
        "exec x ls -it",
    ],
)
def test_what_only_resembles_it_is_run(twelve: Notebook, typed: str) -> None:
    assert "not recorded" in twelve.run(f"%docker {typed}")


def test_a_name_that_is_taken_is_told_whose_it_is(
    twelve: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    conflict = 'Conflict. The container name "/mine" is already in use by "1".\n'
    taken = Result(("docker",), 125, (("err", f"docker: Error response: {conflict}"),))
    monkeypatch.setattr(twelve.lesson, "command", lambda *_: taken)
    text = twelve.run("%docker run --name mine x")
    assert "This lesson already has a container mine: `docker rm -f mine` first" in text
    assert "exit code 125" in text


# -- pictures -----------------------------------------------------------------------------------


def test_forest_draws_what_is_there_now(pulled: Notebook) -> None:
    text = pulled.run("%forest busybox debian:bookworm-slim httpd")
    assert text.splitlines()[0] == pulled.badge and "<svg" in pulled.outputs[0]["text/html"]
    for name in ("busybox:latest", "debian:bookworm-slim", "httpd:latest"):
        assert name in text and name in pulled.html
    one, some = pulled.run("%forest busybox"), pulled.run("%forest http*")
    assert "busybox:latest" in one and "httpd" not in one
    assert "httpd:latest" in some and "busybox" not in some


def test_forest_marks_what_is_new_since_the_last_picture(pulled: Notebook) -> None:
    assert "lab12-one" not in pulled.run("%forest busybox")
    pulled.run(RUN)
    for new in (True, False):
        lines = pulled.words("%forest busybox")
        image, container = (
            next(line for line in lines if name in line) for name in ("busybox:", "lab12-one")
        )
        assert ("+" in container, "+" in image) == (new, False)


def test_layers_lists_each_layer(pulled: Notebook) -> None:
    lines = pulled.words("%layers httpd")
    count = len(reads.layers(pulled.lesson, "httpd").layers)
    assert len([line for line in lines if re.match(r" *\d+  ", line)]) == count > 5
    assert any("wasted" in line and "efficiency" in line for line in lines)


@pytest.mark.parametrize(
    "line, said",
    [
        ("%layers", "Use it as `%layers IMAGE`"),
        ("%layers a b", "Use it as `%layers IMAGE`"),
        ("%layers nginx", "There is no image nginx here: `docker images` lists"),
        ("%explore", "Name one image, or two to compare"),
        ("%explore a b c", "Name one image, or two to compare"),
        ("%explore nginx", "There is no image nginx"),
        ("%explore httpd nginx", "There is no image nginx"),
        ("%before_after", "Name the command to try"),
        ("%before_after ls -la", "Name the command to try"),
        ("%before_after docker 'x", "A quote is opened"),
        ("%before_after docker ps | head", "belongs to a shell"),
    ],
)
def test_pictures_of_nothing(pulled: Notebook, line: str, said: str) -> None:
    (text,) = pulled.words(line)
    assert said in text


def test_panels_have_a_text_for_readers_without_widgets(pulled: Notebook) -> None:
    assert pulled.run("%explore httpd debian:bookworm-slim").splitlines() == [
        "Layer explorer (needs JupyterLab): httpd and debian:bookworm-slim",
        "shared layers: 1",
    ]
    assert "application/vnd.jupyter.widget-view+json" in pulled.outputs[0]
    assert "docker commit a b" in pulled.run("%before_after docker commit a b")


@pytest.mark.parametrize("line", ["docker images", "forest", "layers busybox", "explore busybox"])
def test_a_lesson_without_docker(replay: Notebook, line: str) -> None:
    replay.run("%load_ext labkit\n%lesson 07")
    (text,) = replay.words(f"%{line}")
    assert text.startswith("? This lesson works without docker; its commands are: VBoxManage, ")
