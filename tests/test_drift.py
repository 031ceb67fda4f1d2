"""Drift: what a lesson's recording says is what a live engine says today."""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from live import ROOT, plain
from sanitize import sanitised

from labkit.rehearse import record

RECORDINGS = sorted((ROOT / "notebooks" / "lessons").glob("*/recording.json"))
ON_DOCKER = [
    path
    for path in RECORDINGS
    if "docker" in json.loads(path.read_text("utf-8"))["header"]["engines"]
]
ON_BENCH = [path for path in RECORDINGS if path not in ON_DOCKER]
GIVEN = re.compile(r"\b[a-z]+_[a-z]+\d?(?=$|\")", re.M)  # a name Docker made up: adjective_surname
BUILT = re.compile(
    r"^.*\blab\d\d/net\b.*$", re.M
)  # images of Debian's packages of the day, so of any size
LISTS = {
    "docker images": "\n",
    "docker ps": "\n",  # what is of the same second comes in any order
    "VBoxManage list vms": "\n",
    "VBoxManage list hdds": "\nout \n",
}  # VBoxSVC's order changes when it restarts


def settled(text: str, root: str) -> str:
    """A text without what differs from run to run, or from one engine's folder to another's."""
    return sanitised(GIVEN.sub("A_NAME", text.replace(root, "/var/lib/docker")))


def facts(recording: dict[str, Any], root: str = "/var/lib/docker") -> dict[str, str]:
    """What a recording states, one text for each thing stated."""
    found: dict[str, str] = {}
    for step in recording["steps"]:
        said = BUILT.sub(lambda line: re.sub(r"\d+MB$", "A_SIZE", line[0]), "".join(step["output"]))
        output = settled(said, root)
        for start, between in LISTS.items():
            if step["key"].startswith(start):
                output = between.join(sorted(output.split(between)))
        found[f"`{settled(step['key'], root)}` at {step['at']}"] = (
            f"exit code {step['code']}\nnext state {step['next']}\n{output}"
        )
    for read in recording["reads"]:
        answer = read["value"]["is"]
        if (
            read["what"] == "world" and "files" in answer
        ):  # differencing disks are called by random UUIDs
            answer = {
                **answer,
                "files": sorted(answer["files"], key=lambda file: settled(json.dumps(file), root)),
            }
        elif read["what"] == "world":
            for image in answer["images"]:
                image["size"] *= not any(map(BUILT.match, image["tags"]))
            answer = {
                kind: sorted(
                    things, key=lambda thing: settled(json.dumps({**thing, "created": 0}), root)
                )
                for kind, things in answer.items()
            }
        text = re.sub(
            r'"created": \d+', '"created": 0', json.dumps(answer, indent=1, sort_keys=True)
        )
        found[f"reading {settled(read['what'], root)} at {read['at']}"] = settled(text, root)
    kinds = Counter(
        f"{settled(key.partition('sha256:')[0] or 'sha256', root)} {type(value).__name__}"
        for key, value in recording["contents"].items()
    )
    return {**found, "contents": json.dumps(kinds, sort_keys=True)}


def drift(stored: dict[str, str], now: dict[str, str]) -> str:
    """Where two recordings differ, for people to read; "" if nowhere."""
    lines: list[str] = []
    for what in dict.fromkeys([*stored, *now]):
        if what not in now:
            lines.append(f"no more: {what}")
        elif what not in stored:
            lines.append(f"new: {what}")
        elif stored[what] != now[what]:
            difference = difflib.unified_diff(
                stored[what].splitlines(), now[what].splitlines(), lineterm="", n=1
            )
            lines += [f"changed: {what}", *list(difference)[2:]]
    return "\n".join(lines)


def compare(path: Path, folder: Path, root: str = "/var/lib/docker") -> None:
    """Record the lesson now, and compare."""
    lesson = record(path.parent.name)
    lesson.tape.save(folder / "now.json")
    now = json.loads((folder / "now.json").read_text("utf-8"))
    difference = drift(facts(json.loads(path.read_text("utf-8"))), facts(now, root))
    assert not difference, f"record lesson {path.parent.name} again, or mend it:\n{difference}"


@pytest.mark.docker
@pytest.mark.parametrize("path", ON_DOCKER, ids=lambda path: path.parent.name)
@pytest.mark.usefixtures("student")
def test_a_recording_is_what_the_engine_says_today(path: Path, tmp_path: Path) -> None:
    compare(path, tmp_path, plain("info", "--format", "{{.DockerRootDir}}"))


@pytest.mark.virtualbox
@pytest.mark.qemu
@pytest.mark.parametrize("path", ON_BENCH, ids=lambda path: path.parent.name)
def test_a_recording_is_what_virtualbox_says_today(path: Path, tmp_path: Path) -> None:
    compare(path, tmp_path)


# -- the comparison itself ----------------------------------------------------------------------


def stored() -> dict[str, Any]:
    recording: dict[str, Any] = json.loads(RECORDINGS[-1].read_text("utf-8"))
    return recording


def a_step(recording: dict[str, Any], start: str) -> dict[str, Any]:
    step: dict[str, Any] = next(
        step for step in recording["steps"] if step["key"].startswith(start)
    )
    return step


def edit_output(recording: dict[str, Any]) -> None:
    a_step(recording, "docker pull")["output"][0] = "out Using another tag\n"


def drop_line(recording: dict[str, Any]) -> None:
    a_step(recording, "docker history")["output"].pop()


def swap_streams(recording: dict[str, Any]) -> None:
    output = a_step(recording, "docker pull")["output"]
    output[0] = output[0].replace("out ", "err ", 1)


def drop_step(recording: dict[str, Any]) -> None:
    recording["steps"].remove(a_step(recording, "docker diff"))


def add_step(recording: dict[str, Any]) -> None:
    recording["steps"].append({**a_step(recording, "docker ps"), "at": "another"})


def edit_code(recording: dict[str, Any]) -> None:
    a_step(recording, "docker run")["code"] = 7


def edit_state(recording: dict[str, Any]) -> None:
    a_step(recording, "docker run")["next"] = "00000000"


def edit_read(recording: dict[str, Any]) -> None:
    world = next(
        read
        for read in recording["reads"]
        if read["what"] == "world" and read["value"]["is"]["containers"]
    )
    world["value"]["is"]["containers"][0]["state"] = "paused"


def edit_size(recording: dict[str, Any]) -> None:
    world = next(
        read
        for read in recording["reads"]
        if read["what"] == "world" and read["value"]["is"]["images"]
    )
    world["value"]["is"]["images"][0]["size"] += 1


def drop_read(recording: dict[str, Any]) -> None:
    recording["reads"].pop()


def drop_content(recording: dict[str, Any]) -> None:
    recording["contents"].popitem()


@pytest.mark.parametrize(
    "change",
    [
        edit_output,
        drop_line,
        swap_streams,
        drop_step,
        add_step,
        edit_code,
        edit_state,
        edit_read,
        edit_size,
        drop_read,
        drop_content,
    ],
)
def test_a_change_is_red(change: Callable[[dict[str, Any]], None]) -> None:
    recording = stored()
    changed = copy.deepcopy(recording)
    change(changed)
    assert changed != recording
    assert drift(facts(recording), facts(changed)) and drift(facts(changed), facts(recording))


def test_what_varies_is_not_drift() -> None:
    recording = stored()
    other = json.loads(
        re.sub(  # other IDs, dates and durations, another order of what is of the same second
            r"[0-9a-f]{64}", lambda match: match[0][::-1], json.dumps(recording, ensure_ascii=False)
        )
    )
    for step in other["steps"]:
        step["seconds"] += 1
        step["output"] = [
            re.sub(r"\b\d+ seconds? ago", "2 minutes ago", line) for line in step["output"]
        ]
        if step["key"].startswith("docker images"):
            step["output"][1:] = step["output"][:0:-1]
    for read in other["reads"]:
        if read["what"] == "world":
            for thing in read["value"]["is"]["images"]:
                thing["created"] += 10
            read["value"]["is"]["images"].reverse()
    assert other != recording
    assert drift(facts(recording), facts(other)) == ""
    assert drift(facts(recording), facts(recording)) == ""


def test_disks_in_another_order_are_not_drift() -> None:
    recording = json.loads(
        (ROOT / "notebooks" / "lessons" / "09" / "recording.json").read_text("utf-8")
    )
    other = copy.deepcopy(recording)
    lists = [
        step for step in other["steps"] if step["key"] == "VBoxManage list hdds" and step["output"]
    ]
    for step in lists:  # as after a restart of VBoxSVC, which a pause of five seconds is enough for
        disks = "".join(step["output"]).split("out \n")[:-1]
        step["output"] = [disk + "out \n" for disk in reversed(disks)]
    assert other != recording
    assert drift(facts(recording), facts(other)) == ""
    lists[-1]["output"].pop()
    assert drift(facts(recording), facts(other))


def test_the_difference_can_be_read() -> None:
    recording = stored()
    changed = copy.deepcopy(recording)
    edit_code(changed)
    step = a_step(recording, "docker run")
    assert drift(facts(recording), facts(changed)).splitlines() == [
        f"changed: `{sanitised(step['key'])}` at {step['at']}",
        "@@ -1,2 +1,2 @@",
        f"-exit code {step['code']}",
        "+exit code 7",
        f" next state {step['next']}",
    ]
