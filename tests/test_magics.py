"""The magics in a real IPython, replaying the committed recordings: what students type, right and wrong."""

from __future__ import annotations

import ast
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from conftest import Notebook
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.utils.capture import capture_output

from labkit import tasks
from labkit.commands import Interrupted, Result
from labkit.errors import LabError
from labkit.magics import LabMagics
from labkit.virtualbox import engine as bench

PULLS = ["%docker pull busybox", "%docker pull debian:bookworm-slim", "%docker pull httpd"]
RUNS = [
    "%docker run -d --name lab12-one busybox sleep 1d",
    "%docker run -d --name lab12-two busybox sleep 1d",
]


@pytest.fixture
def twelve(replay: Notebook) -> Notebook:
    replay.run("%load_ext labkit")
    replay.run("%lesson 12")
    return replay


@pytest.fixture
def pulled(twelve: Notebook) -> Notebook:
    for line in PULLS:
        twelve.run(line)
    return twelve


def shown(notebook: Notebook) -> str:
    """The text of the HTML of the last cell's outputs."""
    html = "".join(data.get("text/html", "") for data in notebook.outputs)
    return unescape(re.sub("<[^>]*>", "", html))


def badge(notebook: Notebook) -> str:
    header = notebook.lesson.tape.header
    return f"replay · recorded {header['recorded']} on {header['engines']['docker']}"


# -- beginning ----------------------------------------------------------------------------------

ALL = (
    "doctor",
    "lesson",
    "docker",
    "forest",
    "layers",
    "explore",
    "before_after",
    "folder",
    "guest_read",
    "snapshots",
    "what_if",
    "disk",
    "disk_panel",
    "snapshot_panel",
    "net",
    "net_panel",
    "net_steps",
    "tunnel",
    "tunnel_panel",
    "task",
    "check",
    "hint",
    "solution",
    "predict",
    "answer",
)
PROGRAMS = {
    name
    for program in (*bench.PROGRAMS, *bench.OWN)
    for name in (program, program.lower(), program.replace("-", "_"))
}


def test_every_magic_is_there_and_documented(replay: Notebook) -> None:
    replay.run("%load_ext labkit")
    magics = replay.shell.magics_manager.magics
    mine = {
        kind: {
            name
            for name, does in magics[kind].items()
            if type(getattr(does, "__self__", None)) is LabMagics
        }
        for kind in ("line", "cell")
    }
    assert mine == {"line": set(ALL), "cell": {"docker", "commands", "net", "bytes"}}
    assert magics["line"].keys() & magics["cell"].keys() >= PROGRAMS  # a partial each
    for name in ALL:
        assert f"%{name}" in (magics["line"][name].__doc__ or "")
        assert f"%{name}" in __import__("labkit.magics").magics.__doc__


@pytest.mark.parametrize(
    "line",
    [
        "%docker ps",
        "%forest",
        "%layers busybox",
        "%explore busybox",
        "%before_after docker run x",
        "%task x",
        "%check x",
        "%hint x",
        "%solution x",
        "%predict x",
        "%answer x",
        "%VBoxManage list vms",
        "%qemu-img info x",
        "%guest_write m 0 x",
        "%guest_read m",
        "%folder",
        "%snapshots",
        "%what_if VBoxManage snapshot m delete s",
        "%disk x",
        "%disk_panel",
        "%snapshot_panel m",
        "%%commands\nqemu-img info x",
        "%net show",
        "%%net\nswitch s",
        "%net up",
        "%net_panel",
        "%net_steps",
        "%%bytes\n00",
        "%tunnel gre",
        "%tunnel_panel",
    ],
)
def test_before_the_lesson_begins(replay: Notebook, line: str) -> None:
    replay.run("%load_ext labkit")
    assert (
        replay.run(line)
        == "? No lesson has begun in this notebook: run its `%lesson` cell, then this one."
    )


def test_doctor_works_without_a_lesson_and_without_an_engine(
    replay: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    replay.run("%load_ext labkit")
    text = replay.run("%doctor")
    assert (
        "✔ Python 3." in text
        and "✘ No Docker engine answers at unix:///nonexistent/docker.sock" in text
    )
    assert "recordings of" in text and "12" in text


@pytest.mark.parametrize(
    "line,said",
    [
        ("%lesson", "Say which lesson"),
        ("%lesson 12 replay now", "Say which lesson"),
        ("%lesson nosuch", "There is no lesson 'nosuch'; there are: 00, 02, 03, 07, 09, 10, 12"),
        ("%lesson ../en", "There is no lesson"),
        ("%lesson nosuch/x", "There is no lesson"),
        ("%lesson 12 liev", "The mode is 'liev'; it can be live or replay"),
        ("%lesson '12", "A quote is opened"),
    ],
)
def test_a_lesson_that_cannot_begin(replay: Notebook, line: str, said: str) -> None:
    replay.run("%load_ext labkit")
    text = replay.run(line)
    assert said in text and text.startswith("? ") and "\n" not in text
    assert "No lesson has begun" in replay.run("%docker ps")


def test_a_lesson_live_without_an_engine(replay: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    replay.run("%load_ext labkit")
    assert "No Docker engine answers" in replay.run("%lesson 12 live")
    monkeypatch.delenv("LABKIT_MODE")
    text = replay.run("%lesson 12")  # by itself it takes the recording, and says why
    assert text.startswith("replay · recorded") and "No Docker engine answers" in text
    assert text.endswith("Lesson 12 begins.")


def test_a_lesson_says_where_its_outputs_come_from(twelve: Notebook) -> None:
    text = twelve.run("%lesson 12 replay")
    assert text.splitlines() == [
        f"{badge(twelve)}. {twelve.lesson.tape.header['note']}",
        "ℹ Lesson 12 begins.",
    ]
    assert badge(twelve) in shown(twelve)


def test_a_lesson_begun_again_is_at_its_start(pulled: Notebook) -> None:
    first = pulled.run("%docker images")
    pulled.run("%lesson 12")
    assert pulled.run("%docker images") != first
    pulled.run("%docker pull busybox")
    assert "shown again" not in pulled.run("%docker pull debian:bookworm-slim")


# -- %docker ------------------------------------------------------------------------------------


def test_an_output_is_badge_and_words(pulled: Notebook) -> None:
    text = pulled.run("%docker history httpd")
    assert text.splitlines()[0] == badge(pulled) and text.splitlines()[1].startswith("IMAGE ")
    assert [set(data) for data in pulled.outputs] == [{"text/plain", "text/html"}]
    for line in text.splitlines():
        assert line.strip() in shown(pulled)


def test_spellings_are_one(pulled: Notebook) -> None:
    assert (
        pulled.run("%docker images")
        == pulled.run("%docker image ls")
        == pulled.run("%docker   'images'")
    )
    assert pulled.run("%docker ps -a") == pulled.run("%docker container ls --all")


def test_exit_codes_and_advice_are_shown(replay: Notebook) -> None:
    replay.run("%load_ext labkit\n%lesson 00\n%docker run hello-world")
    text = replay.run("%docker logs no-such-container")
    assert (
        text.splitlines()[-1]
        == "exit code 1. No container of that name: `docker ps -a` lists all, running or not."
    )
    assert "No such container" in text.splitlines()[-2]


def test_a_command_that_was_not_recorded(pulled: Notebook) -> None:
    text = pulled.run("%docker history nginx")
    assert text.splitlines()[0] == badge(pulled) and len(text.splitlines()) == 2
    assert (
        "was not recorded; the nearest it has here is `docker history httpd`" in text
        and "labkit doctor" in text
    )


def test_cells_out_of_order_say_what_to_run_first(twelve: Notebook) -> None:
    assert "only after `docker pull busybox`: run that cell first" in twelve.run(PULLS[1])
    assert "only after `docker pull busybox`: run that cell first" in twelve.run(
        "%docker history httpd"
    )
    assert "run the cells above this one first" in twelve.run("%answer two-containers")


def test_a_cell_run_twice_shows_its_output_again(twelve: Notebook) -> None:
    first, second = twelve.run(PULLS[0]), twelve.run(PULLS[0])
    assert second == first.replace(
        badge(twelve), f"{badge(twelve)} · shown again: a recording cannot run it twice"
    )
    assert "shown again" not in twelve.run(PULLS[1])


@pytest.mark.parametrize(
    "line,said",
    [
        ("%docker ps | head", "`|` belongs to a shell"),
        ("%docker ps|head", "`|` belongs to a shell"),
        ("%docker ps && docker images", "`&&` belongs to a shell"),
        ("%docker ps; ls", "`;` belongs to a shell"),
        ("%docker logs x > file", "`>` belongs to a shell"),
        ("%docker rm $(docker ps -q)", "`$(` belongs to a shell"),
        ("%docker exec x sh -c 'ls", "A quote is opened and never closed"),
        ('%docker exec x sh -c "ls', "A quote is opened and never closed"),
        ("%docker run -it busybox", "waits for a keyboard"),
        ("%docker run -i -t busybox sh", "waits for a keyboard"),
        ("%docker run --interactive --tty --rm busybox", "waits for a keyboard"),
        ("%docker container run -ti busybox", "waits for a keyboard"),
        ("%docker exec -it x sh", "`exec -it` waits for a keyboard"),
        ("%docker container exec -ti x sh", "waits for a keyboard"),
        ("%docker events", "never ends"),
        ("%docker stats", "add `--no-stream`"),
        ("%docker stats x", "never ends"),
        ("%docker logs -f x", "leave out -f"),
        ("%docker logs x --follow", "leave out -f"),
        ("%docker container logs -ft x", "leave out -f"),
        ("%docker attach x", "never ends"),
        ("%docker -H tcp://1.2.3.4 ps", "labkit talks to one engine"),
        ("%docker --context x ps", "labkit talks to one engine"),
    ],
)
def test_what_a_cell_cannot_do_is_answered_with_what_to_do(
    twelve: Notebook, line: str, said: str
) -> None:
    text = twelve.run(line)
    assert (
        said in text
        and text.splitlines()[0] == badge(twelve)
        and text.splitlines()[1].startswith("? ")
    )
    assert len(text.splitlines()) == 2


@pytest.mark.parametrize(
    "line",
    [
        "%docker run -dit busybox",
        "%docker logs x",
        "%docker stats --no-stream",
        "%docker events --until 0s",
        "%docker run -t busybox",
        "%docker logs --help",
        "%docker attach --help",
        "%docker exec x ls -it",
    ],
)
def test_what_only_resembles_it_is_run(twelve: Notebook, line: str) -> None:
    assert "not recorded" in twelve.run(line)


@pytest.fixture
def heard(twelve: Notebook, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str | None]]:
    """What reaches the lesson instead of an engine."""
    asked: list[tuple[list[str], str | None]] = []

    def command(argv: list[str], stdin: str | None = None, on_text: object = None) -> Result:
        asked.append((argv, stdin))
        return Result(tuple(argv), 0)

    monkeypatch.setattr(twelve.lesson, "command", command)
    return asked


@pytest.mark.parametrize(
    "line,argv",
    [
        ('%docker inspect -f "{{.Id}}" x', ["inspect", "-f", "{{.Id}}", "x"]),
        ("%docker inspect -f {{.Id}} x", ["inspect", "-f", "{{.Id}}", "x"]),
        (
            "%docker inspect -f '{{json .Mounts}}' {name}",
            ["inspect", "-f", "{{json .Mounts}}", "{name}"],
        ),
        ("%docker exec x sh -c 'echo $HOME $name'", ["exec", "x", "sh", "-c", "echo $HOME $name"]),
        (
            '%docker exec x sh -c "a | b > c; echo \\$PATH"',
            ["exec", "x", "sh", "-c", "a | b > c; echo $PATH"],
        ),
        ("%docker run -e A=$name busybox", ["run", "-e", "A=$name", "busybox"]),
        ("%docker ps   # all", ["ps", "#", "all"]),
        ("%docker", []),
        ("%docker ps?x", ["ps?x"]),
        ("%docker run busybox echo ''", ["run", "busybox", "echo", ""]),
    ],
)
def test_words_reach_docker_unchanged(
    twelve: Notebook, heard: list[tuple[list[str], str | None]], line: str, argv: list[str]
) -> None:
    twelve.shell.user_ns["name"] = "WRONG"
    twelve.run(line)
    assert heard == [(["docker", *argv], None)]


@pytest.mark.parametrize(
    "body", ["one\ntwo\n", "{name} $name {{.Id}} | ; $(ls)\n", "ñ 層\n", "# comment\n", "\ttab\n"]
)
def test_the_body_of_a_cell_is_standard_input(
    twelve: Notebook, heard: list[tuple[list[str], str | None]], body: str
) -> None:
    twelve.shell.user_ns["name"] = "WRONG"
    twelve.run(f"%%docker run -i --rm busybox cat\n{body}")
    assert heard == [(["docker", "run", "-i", "--rm", "busybox", "cat"], body)]


WORDS = [
    "docker",
    "run",
    "ps",
    "-it",
    "--name",
    "busybox",
    "lab12-one",
    "VBoxManage",
    "snapshot",
    "lab09",
    "delete",
    "installed",
    "lab09.vmdk",
    "0",
    "'",
    '"',
    "\\",
    "{{",
    "$x",
    "$PWD",
    "|",
    "no-waste",
    "shrink",
    "A",
    "é",
    "*",
    "-",
    "--",
    "@",
    "\u2028",
    "x" * 3000,
    "9" * 5000,
    "²",
    "open",
    "ping",
    "send",
    "bytes",
    "reach",
    "table",
    "wait",
    "access",
    "trunk",
    "pc1",
    "sec1",
    "s1",
    "s1.24",
    "10",
    "1500",
    "wireguard",
    "gre",
    "mtu",
    "tamper",
    "fragment",
    "compare",
    "up",
    "../x",
    "\0",
    "separate",
    "read-tag",
]
UNTIL = {"02": "%net down", "09": "%what_if", "12": "%docker commit"}


def begun(replay: Notebook, lesson: str) -> Notebook:
    """The lesson up to somewhere in its middle, once in all examples of a property."""
    if "labkit" not in replay.shell.extension_manager.loaded:
        replay.until(lesson, UNTIL[lesson])
    return replay


def no_traceback(said: Any) -> None:
    assert said.stdout == "" and said.stderr == "" and said.outputs
    for output in said.outputs:
        assert "Traceback" not in output.data["text/plain"]
        output.data["text/plain"].encode()  # or the browser gets nothing


@pytest.mark.parametrize("lesson", UNTIL)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted({*ALL, *PROGRAMS, "docker"} - {"doctor", "lesson"})),
    st.lists(st.sampled_from(WORDS), max_size=5),
)
def test_no_line_whatever_shows_a_traceback(
    replay: Notebook, lesson: str, magic: str, words: list[str]
) -> None:
    begun(replay, lesson)
    with capture_output() as said:
        replay.shell.run_line_magic(magic, " ".join(words))
    no_traceback(said)


BODIES = [
    "switch",
    "host",
    "router",
    "link",
    "access",
    "trunk",
    "deny",
    "name",
    "s1",
    "s2",
    "s1.1",
    "s1.2",
    "s2.1",
    "r",
    "pc1",
    "10.0.0.1/24",
    "10.0.0.2/24",
    "10.0.0.1",
    "via",
    "native",
    "10",
    "20",
    "10,20",
    "1-4094",
    "10:10.0.0.9/24",
    "#",
    "\n",
    "\n",
    "\n",
    "0x0000:",
    "ffff",
    "0800",
    "8100",
    "4500",
    "45",
    "f",
    "²",
    "\0",
    "é",
    "<b>",
    "%net",
    "\u2028",
    "9" * 5000,
]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["net", "bytes"]),
    st.sampled_from(["", "ip", " ip ", "ipv6", "'", "| x", "\0", "up"]),
    st.one_of(
        st.text(max_size=200),
        st.binary(max_size=200).map(bytes.hex),
        st.lists(st.sampled_from(BODIES), max_size=40).map(" ".join),
    ),
)
def test_no_body_whatever_shows_a_traceback(
    replay: Notebook, magic: str, line: str, body: str
) -> None:
    with capture_output() as said:
        begun(replay, "02").shell.run_cell_magic(magic, line, f"{body}\n")
    no_traceback(said)


@pytest.mark.parametrize(
    "cell, said",
    [
        ("%%net ping pc1 pc2\nswitch s", "the network in the lines below"),
        ("%%net\nswich s", "Line 1: 'swich' is no"),
        ("%%bytes frame\n00", "Use it as `%%bytes` for a frame"),
        ("%%bytes\nzz", "That is no frame in hex"),
        ("%net ping pc1 pc9", "'pc9' is no host here"),
        ("%net_panel", "There is no network yet"),
        ("%net_steps", "There is no network yet"),
        ("%net compare", "Use it as `%net up`, `%net compare HOST HOST"),
        ("%net up now", "Use it as `%net up`"),
        ("%tunnel ipsec", "`%tunnel ipsec` is not known"),
        ("%tunnel 'x", "A quote is opened"),
    ],
)
def test_a_mistake_on_the_network_is_one_line_without_a_badge(
    replay: Notebook, cell: str, said: str
) -> None:
    replay.run("%load_ext labkit\n%lesson 02")
    if "_" not in cell:
        replay.run("%%net\nswitch s\nhost pc1 10.0.0.1/24 s.1")
    text = replay.run(cell)
    assert said in text and text.startswith("? ") and "\n" not in text
    assert "_" in cell or "pc1" in replay.run("%net")


def test_an_interrupt_stops_the_cells_behind_it(
    twelve: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(*_: object) -> Result:
        raise Interrupted(Result(("docker", "run"), -2, (("out", "so far\n"),), 3.2))

    monkeypatch.setattr(twelve.lesson, "command", command)
    with capture_output() as said:
        done = twelve.shell.run_cell("%docker run busybox sleep 1d\nprint('not reached')")
    assert not done.success and isinstance(done.error_in_exec, Interrupted)
    assert (
        said.stdout.strip().startswith("Stopped by you after 3 s")
        and "\n" not in said.stdout.strip()
    )


def test_a_name_that_is_taken_is_told_whose_it_is(
    twelve: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = 'docker: Error response from daemon: Conflict. The container name "/mine" is already in use by "1".\n'
    lesson = twelve.lesson
    monkeypatch.setattr(lesson, "command", lambda *_: Result(("docker",), 125, (("err", error),)))
    text = twelve.run("%docker run --name mine x")
    assert "This lesson already has a container mine: `docker rm -f mine` first" in text

    class Own:
        def owns(self, kind: str, thing: dict[str, Any]) -> bool:
            return False

    monkeypatch.setattr(lesson, "docker", Own())
    monkeypatch.setattr(lesson, "container", lambda name: {"id": "1", "name": name})
    text = twelve.run("%docker run --name mine x")
    assert (
        "mine is a container of your own: labkit does not touch it" in text
        and "exit code 125" in text
    )


# -- pictures -----------------------------------------------------------------------------------


def test_forest_draws_what_is_there_now(pulled: Notebook) -> None:
    text = pulled.run("%forest busybox debian:bookworm-slim httpd")
    assert text.splitlines()[0] == badge(pulled)
    for name in ("busybox:latest", "debian:bookworm-slim", "httpd:latest"):
        assert name in text and name in shown(pulled)
    assert "<svg" in pulled.outputs[0]["text/html"]
    one = pulled.run("%forest busybox")
    assert "busybox:latest" in one and "httpd" not in one
    assert pulled.run("%forest http*").count("httpd:latest") and "busybox" not in pulled.run(
        "%forest http*"
    )


def test_forest_marks_what_is_new_since_the_last_picture(pulled: Notebook) -> None:
    before = pulled.run("%forest busybox")
    assert "lab12-one" not in before
    pulled.run(RUNS[0])
    after = pulled.run("%forest busybox")
    line = next(line for line in after.splitlines() if "lab12-one" in line)
    assert "+" in line and "+" not in next(
        line for line in after.splitlines() if "busybox:latest" in line
    )
    again = pulled.run("%forest busybox")
    assert "+" not in next(line for line in again.splitlines() if "lab12-one" in line)


def test_layers_lists_each_layer(pulled: Notebook) -> None:
    text = pulled.run("%layers httpd")
    count = len(pulled.lesson.layers("httpd").layers)
    assert len([line for line in text.splitlines() if re.match(r" *\d+  ", line)]) == count
    assert "wasted" in text and "efficiency" in text


@pytest.mark.parametrize(
    "line,said",
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
    text = pulled.run(line)
    assert said in text and len(text.splitlines()) == 2


def test_panels_have_a_text_for_readers_without_widgets(pulled: Notebook) -> None:
    assert pulled.run("%explore httpd debian:bookworm-slim").splitlines() == [
        "Layer explorer (needs JupyterLab): httpd and debian:bookworm-slim",
        "shared layers: 1",
    ]
    assert "application/vnd.jupyter.widget-view+json" in pulled.outputs[0]
    assert "docker commit a b" in pulled.run("%before_after docker commit a b")


# -- machines and disks -------------------------------------------------------------------------

GROWS = "createmedium disk --filename grows.vdi --size 64"


@pytest.fixture
def nine(replay: Notebook) -> Notebook:
    """Lesson 09 with the snapshots installed and draft, and a page written since."""
    assert replay.until("09", "%what_if") == "%what_if VBoxManage snapshot lab09 restore draft"
    return replay


def words(text: str) -> list[str]:
    """The lines of an output without the badge."""
    return text.splitlines()[1:]


@pytest.mark.parametrize(
    "spelt",
    [
        f"%VBoxManage {GROWS}",
        f"%vboxmanage {GROWS}",
        f"%VBoxManage   {GROWS.replace(' 64', '=64')}",
        f"%VBoxManage {GROWS.replace('grows.vdi', repr('grows.vdi'))}",
        f"%%commands\nvboxmanage {GROWS}",
    ],
)
def test_a_program_is_known_however_it_is_spelt(replay: Notebook, spelt: str) -> None:
    replay.run("%load_ext labkit\n%lesson 07")
    assert words(replay.run("%folder")) == ["(empty)"]
    text = replay.run(spelt)
    assert re.match(
        r"replay · recorded [-\d]+ on VirtualBox [\d.]+, QEMU [\d.]+ · took \d+\.\d\d s\n", text
    )
    assert words(text)[-1].startswith("Medium created. UUID: ") and words(text)[-1] in shown(replay)
    assert words(replay.run("%folder")) == ["2 MiB  grows.vdi"]


def test_words_of_a_program_mean_nothing_to_python(replay: Notebook) -> None:
    replay.run("%load_ext labkit")
    replay.run("%lesson 07")
    replay.shell.user_ns["name"] = "WRONG"
    for line in ("%qemu-img info {name}", "%qemu_img info $name"):
        assert f"`qemu-img info '{line.split()[-1]}'` was not recorded" in replay.run(line)


def test_qemu_img_by_both_its_names(replay: Notebook) -> None:
    line = replay.until("07", "%qemu-img info")
    assert words(replay.run(line))[:2] == ["image: kvm.qcow2", "file format: qcow2"]
    assert replay.run(line.replace("%qemu-img", "%qemu_img")) == replay.run(line)
    assert "kvm.qcow2" in replay.run("%folder") and "was not recorded" in replay.run(
        "%qemu-img info nosuch.qcow2"
    )


def test_a_disk_marks_what_was_written_since(replay: Notebook) -> None:
    replay.run(
        f"%load_ext labkit\n%lesson 07\n%VBoxManage {GROWS}\n%VBoxManage {GROWS.replace('grows', 'reserved')} "
        "--variant Fixed"
    )
    text = replay.run("%disk grows.vdi")
    assert (
        "0 of 64 blocks" in text
        and "signature" in text
        and "<svg" in replay.outputs[0]["text/html"]
    )
    replay.run('%qemu-io -f vdi -c "write -q -P 0xab 40M 1" grows.vdi')
    text = replay.run("%disk $PWD/grows.vdi grows.vdi reserved.vdi")
    assert re.findall(r"^\S+vdi$", text, re.M) == ["$PWD/grows.vdi", "grows.vdi", "reserved.vdi"]
    assert (
        text.count("1 of 64 blocks") == 2
        and text.count("1 MiB more than before") == 1
        and "signature" not in text
    )
    assert "more than before" not in replay.run("%disk grows.vdi")


def test_a_guest_reads_what_it_wrote(nine: Notebook) -> None:
    assert words(nine.run("%guest_read lab09")) == [
        "page 0: Debian, freshly installed",
        "page 1: report, with the last page missing",
    ]
    nine.run("%VBoxManage snapshot lab09 restore draft")
    assert words(nine.run("%guest_read lab09"))[1] == "page 1: report, first draft"
    nine.until("09", '%guest_write lab09 0 "Debian')
    uuid = nine.lesson.machines().machine("lab09").uuid
    assert (
        words(nine.run("%guest_read lab09"))
        == words(nine.run(f"%guest_read {uuid}"))
        == ["(nothing but zeros)"]
    )
    assert words(nine.run('%guest_write lab09 0 "Debian, freshly installed"')) == [
        "page 0: 64 KiB written into $PWD/lab09.vmdk"
    ]


def test_snapshots_mark_what_is_new_and_what_is_gone(nine: Notebook) -> None:
    nine.run("%snapshots lab09")
    before = nine.run("%snapshots lab09")
    assert "● " in before and "current state" in before and not re.search("^[+−]", before, re.M)
    assert "▬  lab09.vmdk" in before and "<svg" in nine.outputs[0]["text/html"]
    nine.run("%VBoxManage snapshot lab09 restore draft")
    marked = [
        line[0]
        for line in nine.run("%snapshots lab09").splitlines()
        if "diff " in line and line[0] in "+−"
    ]
    assert sorted(marked) == ["+", "−"]
    assert not re.search("^[+−]", nine.run("%snapshots"), re.M)  # another picture


@pytest.mark.parametrize(
    "command,said",
    [
        (
            "VBoxManage snapshot lab09 restore draft",
            "Lost for ever: what was written since into diff",
        ),
        ("vboxmanage snapshot lab09 delete 'draft'", "Nobody can go back to 'draft' any more"),
        ("VBoxManage snapshot lab09 delete installed", "is merged into lab09.vmdk"),
    ],
)
def test_what_if_tells_and_does_nothing(nine: Notebook, command: str, said: str) -> None:
    state = nine.lesson.tape.state
    text = nine.run(f"%what_if {command}")
    assert words(text)[0] == "? Nothing has been done yet." and said in text
    assert nine.lesson.tape.state == state and "draft" in nine.run(
        "%VBoxManage snapshot lab09 list"
    )


def test_commands_run_one_after_another_until_one_fails(replay: Notebook) -> None:
    first = replay.until("10", "%qemu-io")
    assert first.startswith("%qemu-io")
    wrong = replay.until("10", "%VBoxManage clonevm lab10-full --name lab10-wrong").removeprefix(
        "%"
    )
    text = replay.run(
        f"%%commands\n  # lists, fails\n\nVBoxManage list vms\n{wrong}\nqemu-img info x"
    )
    lines = words(text)
    assert [line for line in lines if line.startswith("$")] == [
        "$ VBoxManage list vms",
        f"$ {wrong}",
    ]
    assert '"lab10"' in lines[1] and "Linked clone can only be created from a snapshot" in text
    assert lines[-1].startswith("exit code 1") and all(line in shown(replay) for line in lines)


@pytest.mark.parametrize(
    "line,said",
    [
        ("ls -la", "'ls' is no program of the lessons: docker, VBoxManage"),
        ("%VBoxManage list vms", "without %"),
        ("!ls", "without !"),
        ("VBoxManage list 'vms", "A quote is opened"),
        ("VBoxManage list vms | cat", "belongs to a shell"),
        ("qemu-img info nosuch", "was not recorded"),
        ("docker ps", "This lesson works without Docker"),
        ("guest_write lab09 99 x", "Use it as `%guest_write"),
    ],
)
def test_what_ran_before_a_line_that_cannot_is_shown(nine: Notebook, line: str, said: str) -> None:
    text = nine.run(f"%%commands\nVBoxManage list vms\n{line}\nVBoxManage list hdds")
    done, taught = (data["text/plain"] for data in nine.outputs)
    assert [line for line in words(done) if line[0] == "$"] == [
        "$ VBoxManage list vms",
        f"$ {line}",
    ]
    assert (
        '"lab09"' in done
        and said in words(taught)[0]
        and len(words(taught)) == 1
        and "hdds" not in text
    )


@pytest.mark.parametrize(
    "line,said",
    [
        ("%VBoxManage", "was not recorded"),
        ("%VBoxManage list vmss", "the nearest it has here is `VBoxManage list vms`"),
        ("%vboxmanage list 'vms", "A quote is opened"),
        ("%VBoxManage list vms | wc", "belongs to a shell"),
        ("%VBoxManage snapshot nosuch list", "was not recorded"),
        ("%%VBoxManage list vms\nx", "was not recorded"),
        ("%VBoxManage snapshot lab09 restore draft --x='", "A quote is opened"),
        ("%qemu-img", "was not recorded"),
        ("%qemu-img info x > y", "belongs to a shell"),
        ("%docker ps", "This lesson works without Docker"),
        ("%guest_write", "Use it as `%guest_write MACHINE PAGE"),
        ("%guest_write lab09 0", "Use it as `%guest_write"),
        ("%guest_write lab09 one x", "page from 0 to 15"),
        ("%guest_write lab09 16 x", "page from 0 to 15"),
        ("%guest_write lab09 -1 x", "page from 0 to 15"),
        ("%guest_write lab09 0 two words", "Use it as `%guest_write"),
        ("%guest_write lab09 ² x", "page from 0 to 15"),
        ('%guest_write lab09 0 "x', "A quote is opened"),
        ("%guest_write lab09 0 never", "was not recorded"),
        ("%guest_write nosuch 0 x", "was not recorded"),
        ("%guest_read", "Use it as `%guest_read MACHINE`"),
        ("%guest_read lab09 x", "Use it as `%guest_read MACHINE`"),
        ("%guest_read nosuch", "There is no machine 'nosuch' here, only: lab09."),
        ("%guest_read 'x", "A quote is opened"),
        ("%folder x", "Use it as `%folder`"),
        ("%snapshots nosuch", "There is no machine 'nosuch' here, only: lab09."),
        ("%snapshots lab09 nosuch", "There is no machine 'nosuch'"),
        ("%snapshots 'lab09", "A quote is opened"),
        ("%what_if", "`%what_if VBoxManage snapshot MACHINE delete SNAPSHOT`"),
        ("%what_if VBoxManage snapshot lab09 take x", "deletes or restores"),
        ("%what_if VBoxManage snapshot lab09 delete", "deletes or restores"),
        ("%what_if docker snapshot lab09 delete draft", "deletes or restores"),
        ("%what_if VBoxManage snapshot nosuch delete x", "There is no machine 'nosuch'"),
        (
            "%what_if VBoxManage snapshot lab09 restore x",
            "lab09 has no snapshot 'x'; it has: installed, draft.",
        ),
        ("%disk", "Name a disk file of the lesson"),
        ("%disk nosuch", "There is no file nosuch in the lesson's folder"),
        ("%disk lab09.vmdk ../x", "There is no file ../x"),
        ("%disk /etc/passwd", "There is no file /etc/passwd"),
        ("%disk lab09.vmdk | cat", "belongs to a shell"),
        ("%disk_panel 7", "the size in MiB, from 8 to 256"),
        *((f"%disk_panel {size}", "the size in MiB") for size in ("x", "16 16", "²", "257")),
        ("%snapshot_panel", "Use it as `%snapshot_panel MACHINE`"),
        ("%snapshot_panel nosuch", "There is no machine 'nosuch'"),
    ],
)
def test_a_mistake_on_the_bench_is_one_line_of_teaching(
    nine: Notebook, line: str, said: str
) -> None:
    state, text = nine.lesson.tape.state, nine.run(line)
    assert (
        said in text
        and len(words(text)) == 1
        and words(text)[0].startswith("? ")
        and len(text) < 600
    )
    assert nine.lesson.tape.state == state


@pytest.mark.parametrize(
    "line",
    [
        "%VBoxManage list vms",
        "%qemu-img info x",
        "%guest_write m 0 x",
        "%%commands\nVBoxManage list vms",
        "%guest_read m",
        "%folder",
        "%snapshots",
        "%what_if VBoxManage snapshot m delete s",
        "%disk x",
        "%snapshot_panel m",
    ],
)
def test_a_lesson_of_docker_has_no_bench(twelve: Notebook, line: str) -> None:
    assert "? This lesson works with Docker alone" in twelve.run(line)


@pytest.mark.parametrize(
    "line", ["%docker images", "%forest", "%layers busybox", "%explore busybox"]
)
def test_a_lesson_of_the_bench_has_no_docker(nine: Notebook, line: str) -> None:
    assert words(nine.run(line)) == [
        "? This lesson works without Docker: use `%docker` in the lessons 02, 03 and 11 to 15."
    ]


def test_a_machine_without_a_disk_has_nothing_to_read(replay: Notebook) -> None:
    replay.until("09", "%VBoxManage createmedium")
    assert words(replay.run("%guest_read lab09")) == [
        "? lab09 has no disk: attach one with `VBoxManage storageattach`."
    ]


# -- tasks --------------------------------------------------------------------------------------


@pytest.fixture
def greeting(replay: Notebook) -> Notebook:
    replay.run("%load_ext labkit\n%lesson 00\n%docker run hello-world\n%task greeting")
    return replay


def test_a_task_from_its_start_to_its_end(greeting: Notebook) -> None:
    text = greeting.run("%task greeting")
    assert "Task greeting" in text and "%check greeting" in text and "%hint greeting" in text
    text = greeting.run("%check greeting")
    assert text.splitlines()[1].startswith("✘ There is no container called `lab00-hello`")
    greeting.run("%docker run hello-world")
    assert "not called `lab00-hello`" in greeting.run("%check greeting")
    text = greeting.run("%docker run --name lab00-hello hello-world")
    assert (
        "as if the task were started over" in text.splitlines()[0] and "Hello from Docker!" in text
    )
    assert "lab00-hello" in greeting.run("%docker ps -a")
    assert greeting.run("%check greeting").splitlines()[1].startswith("✔ `lab00-hello` is there")
    assert "Already solved; `%task greeting` starts it again." in greeting.run("%check greeting")
    assert "lab00-hello" not in greeting.run("%docker ps -a")
    greeting.run("%task greeting")
    assert "✘" in greeting.run("%check greeting")


def test_hints_come_one_by_one_until_there_are_none(greeting: Notebook) -> None:
    task = tasks.material(greeting.lesson.folder).task("greeting")
    said = [greeting.run("%hint greeting") for _ in range(len(task.hints) + 2)]
    assert said[: len(task.hints)] == [f"ℹ {hint}" for hint in task.hints]  # noqa: RUF001
    assert said[-1] == said[-2] == "ℹ No more hints; `%solution greeting` shows one way."  # noqa: RUF001
    for start in ("%task greeting", "%lesson 00"):
        greeting.run(start)
        assert greeting.run("%hint greeting") == said[0]


def test_the_solution_solves_it(greeting: Notebook) -> None:
    text = greeting.run("%solution greeting")
    line = re.findall("`(.*)`", text)[0]
    assert line == "%docker run --name lab00-hello hello-world"
    greeting.run(line)
    assert "✔" in greeting.run("%check greeting")


def test_an_answer_is_given_behind_the_name(pulled: Notebook) -> None:
    pulled.run("%task shared-layers")
    assert "Give your number behind the name" in pulled.run("%check shared-layers")
    for answer in ("one", "²", "-1", "9" * 5000):
        assert f"`{answer:.40}` is not a whole number" in pulled.run(
            f"%check shared-layers {answer}"
        )
    assert "✘" in pulled.run("%check shared-layers 99")
    solution = re.findall("`%(.*)`", pulled.run("%solution shared-layers"))[0]
    assert solution.startswith("check shared-layers ")
    assert "✔" in pulled.run(f"%{solution}  ")


def test_an_engine_that_is_away_is_never_green(
    greeting: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    greeting.run("%docker run --name lab00-hello hello-world")

    def away(*_: object) -> None:
        raise LabError("The Docker engine does not answer (any more).")

    monkeypatch.setattr(greeting.lesson.tape, "read", away)
    assert greeting.run("%check greeting").splitlines()[1] == (
        "? Cannot tell: The Docker engine does not answer (any more)."
    )


@pytest.mark.parametrize("magic", ["task", "check", "hint", "solution"])
def test_a_task_that_is_none(greeting: Notebook, magic: str) -> None:
    assert "This lesson has no task 'x'; it has: greeting." in greeting.run(f"%{magic} x")
    text = greeting.run(f"%{magic}")
    assert "Use it as" in text or "no task ''" in text
    assert "✔" not in greeting.run(f"%{magic} greetin")


# -- predictions --------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["A", "B", "C", "b"])
def test_a_prediction_is_compared_with_what_happened(replay: Notebook, letter: str) -> None:
    replay.run("%load_ext labkit\n%lesson 00\n%docker run hello-world")
    asked = tasks.material(replay.lesson.folder).prediction("after")
    text = replay.run(f"%predict after {letter}")
    assert asked.question in text and all(choice in text for choice in asked.choices.values())
    assert replay.lesson.committed == {"after": letter.upper()}
    answer = replay.run("%answer after")
    truth = f"B) {asked.choices['B']} {asked.why['B']}"
    if letter.upper() == "B":
        assert answer.splitlines()[1] == f"✔ You predicted it. {truth}"
    else:
        assert answer.splitlines()[1:] == [
            f"✘ You said {letter}) {asked.choices[letter]} {asked.why[letter]}",
            f"What happened: {truth}",
        ]


def test_a_prediction_that_was_not_made(replay: Notebook) -> None:
    replay.run("%load_ext labkit\n%lesson 00\n%docker run hello-world")
    assert "Commit with %predict after LETTER" in replay.run("%predict after")
    answer = replay.run("%answer after")
    assert answer.splitlines()[1].startswith("ℹ B) ") and "had not committed" in answer  # noqa: RUF001


def test_a_prediction_cannot_be_changed_afterwards(replay: Notebook) -> None:
    replay.run(
        "%load_ext labkit\n%lesson 00\n%docker run hello-world\n%predict after A\n%predict after B"
    )
    assert "✘ You said A)" in replay.run("%answer after")
    replay.run("%lesson 00")
    assert replay.lesson.committed == {}


@pytest.mark.parametrize(
    "line,said",
    [
        ("%predict", "no prediction ''; it has: after"),
        ("%predict x", "no prediction 'x'; it has: after"),
        ("%predict after D", "Choose one of A, B, C."),
        ("%predict after AB", "Choose one of A, B, C."),
        ("%answer x", "no prediction 'x'"),
        ("%answer", "Use it as `%answer NAME`"),
        ("%answer after", "run the cells above this one first"),
    ],
)
def test_predictions_that_cannot_be(replay: Notebook, line: str, said: str) -> None:
    replay.run("%load_ext labkit\n%lesson 00")
    text = replay.run(line)
    assert said in text and len(text.splitlines()) == 2
    assert replay.lesson.committed == {}


def test_no_html_is_made_of_what_a_student_types(twelve: Notebook) -> None:
    for line in (
        "%docker inspect <script>alert(1)</script>",
        "%task <script>",
        "%predict <script>",
        "%layers '<script>'",
        "%lesson '<script>'",
    ):
        twelve.run(
            line.replace("<", "\\<").replace(">", "\\>") if line.startswith("%docker") else line
        )
        for data in twelve.outputs:
            assert "<script" not in data["text/html"]
            assert json.dumps(dict(data), default=str)


def test_only_ipythons_own_python_is_asked(replay: Notebook) -> None:
    """A lesson's cells are magics and nothing else: students need no Python."""
    for path in sorted(Path().glob("*.ipynb")):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                lines = "".join(cell["source"]).splitlines()
                assert lines[0][:2] == "%%" or all(line[:1] in ("%", "#", "") for line in lines), (
                    lines
                )
                assert ast.parse(replay.shell.transform_cell("\n".join(lines)))
