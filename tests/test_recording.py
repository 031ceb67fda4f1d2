"""The file of a recording: every letter comes back, and whatever is wrong with it is one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.commands import Result
from labkit.errors import LabError
from labkit.recording import Header, Recording
from labkit.tape import Player, Recorder

HEADER = Header("t", {"docker": "Docker 1.0"}, "2026-01-02")


def never() -> Any:
    raise AssertionError("a replay asked the engine")


def recorded(words: list[str], stdin: str | None, result: Result) -> Recorder:
    """A recording of one command."""
    recorder = Recorder(HEADER)
    recorder.record(words, stdin, result, False)
    return recorder


def reloaded(tape: Recorder, folder: Path) -> Player:
    tape.recording.save(folder / "recording.json")
    return Player(Recording.load(folder / "recording.json"))


TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]), st.sampled_from("\n\r\x0b\x0c\x1c\x85\u2028\\")
    )
)
CHUNKS = st.lists(st.tuples(st.sampled_from(["out", "err"]), TEXTS), max_size=5)


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3),
    st.none() | TEXTS,
    CHUNKS,
    st.integers(-9, 255),
)
def test_a_recording_keeps_every_letter(
    tmp_path_factory: pytest.TempPathFactory,
    words: list[str],
    stdin: str | None,
    chunks: list[tuple[str, str]],
    code: int,
) -> None:
    live = Result(("x", *words), code, tuple(chunks), 1.5)
    tape = recorded(["x", *words], stdin, live)
    again = reloaded(tape, tmp_path_factory.mktemp("tape")).command(["x", *words], stdin, never)
    assert (again.out, again.err, again.text) == (live.out, live.err, live.text)
    assert (again.argv, again.code, again.seconds) == (live.argv, code, 1.5)


def test_bytes_that_were_no_utf8_come_back_as_they_were_shown(tmp_path: Path) -> None:
    chunks = (("out", "caf\\xe9 层 10%\r20%\r\n"), ("err", "é"))
    tape = recorded(["x"], None, Result((), 0, chunks))
    assert reloaded(tape, tmp_path).command(["x"], None, never).text == "caf\\xe9 层 10%\r20%\r\né"


def test_the_file_is_one_line_of_output_a_line_and_plain_letters(tmp_path: Path) -> None:
    tape = recorded(["x"], None, Result((), 0, (("out", "ñandú\nsecond\n"),)))
    tape.recording.save(tmp_path / "recording.json")
    data = (tmp_path / "recording.json").read_bytes()
    assert b"\r" not in data and data.endswith(b"}\n")
    lines = data.decode().splitlines()
    assert any("ñandú" in line and "second" not in line for line in lines)
    engines = {"docker": "Docker 1.0"}
    assert json.loads(data)["header"] == dict(lesson="t", engines=engines, recorded="2026-01-02")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    tape = recorded(["make", "a"], None, Result((), 0, (("out", "made a\n"),)))
    tape.read("world", lambda: ["a"])
    tape.content("id", lambda: {"a": 1})
    tape.recording.save(tmp_path / "recording.json")
    return tmp_path / "recording.json"


def damaged(path: Path) -> str:
    with pytest.raises(LabError) as caught:
        Recording.load(path)
    text = str(caught.value)
    assert "\n" not in text and "recording.json" in text
    return text


def test_a_file_that_is_not_there_says_what_it_means(tmp_path: Path) -> None:
    assert "needs a live engine" in damaged(tmp_path / "recording.json")


def test_a_file_cut_short_anywhere_is_one_line(good: Path) -> None:
    whole = good.read_bytes()
    for end in range(0, len(whole.rstrip()), 7):
        good.write_bytes(whole[:end])
        assert "git checkout" in damaged(good)


@pytest.mark.parametrize(
    "data", [b"[]", b"null", b'"x"', b"{}", b"\xff\xfe", b"<<<<<<< HEAD\n{}", b"\0" * 99]
)
def test_a_file_that_is_something_else_is_one_line(good: Path, data: bytes) -> None:
    good.write_bytes(data)
    damaged(good)


def test_a_file_that_lacks_anything_is_one_line(good: Path) -> None:
    whole = json.loads(good.read_text("utf-8"))
    places: list[list[Any]] = [
        ["header"],
        ["steps"],
        ["reads"],
        ["contents"],
        ["header", "engines"],
        ["header", "recorded"],
        *(["steps", 0, key] for key in whole["steps"][0]),
        *(["reads", 0, key] for key in whole["reads"][0]),
        ["reads", 0, "value", "is"],
    ]
    for place in places:
        for put in (None, []):
            data = json.loads(json.dumps(whole))
            here = data
            for key in place[:-1]:
                here = here[key]
            if put is None:
                del here[place[-1]]
            elif place[-1] in ("header", "engines", "contents", "value"):
                here[place[-1]] = 5
            else:
                continue
            good.write_text(json.dumps(data), "utf-8")
            damaged(good)


def test_a_folder_in_its_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "recording.json").mkdir()
    damaged(tmp_path / "recording.json")


SAVE = """
import resource, sys
from pathlib import Path
from labkit.errors import LabError
from labkit.recording import Header, Recording
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # as on a full disk
recording = Recording(Header("t", {}, ""), contents={"x": "y" * 50_000})
try:
    recording.save(Path(sys.argv[1]))
except LabError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limits there")
def test_a_full_disk_keeps_the_old_file(good: Path) -> None:
    before = good.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", SAVE, str(good)], capture_output=True, text=True, check=False
    )
    assert done.stderr == "" and done.stdout.count("\n") == 1
    assert "recording.json was not written" in done.stdout and "free some space" in done.stdout
    assert good.read_bytes() == before and os.listdir(good.parent) == ["recording.json"]


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError) as caught:
        Recording(HEADER).save(tmp_path / "file" / "recording.json")
    assert "\n" not in str(caught.value) and "was not written" in str(caught.value)
