"""Words of a command line: those of a POSIX shell, and nothing that only a shell can do."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples.errors import refused

from labkit.errors import LabError
from labkit.words import number, split

posix = pytest.mark.skipif(sys.platform == "win32", reason="compared with sh")
ODD = "a ' \" \\ \\\\ $ $PWD ${HOME} $HOMES {{.Id}} |x # ~ -n = é ` *z"
PIECES = [*ODD.split(), "b c", " ", "  ", "\t"]


@posix
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_quoted_words_come_back(words: list[str]) -> None:
    assert split(shlex.join(words)) == words


@posix
@settings(max_examples=150)
@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_words_are_those_of_a_shell(line: str) -> None:
    try:
        words = split(line)
    except LabError as error:
        assert "\n" not in str(error)
        return
    if re.search(r"[*~#`]|\$(?!PWD\b|\{HOME\})", line):
        return  # a shell would look for files, for comments, for other programs and variables
    script = f'IFS=; "$1" -c "import json, sys; print(json.dumps(sys.argv[1:]))" {line}'
    shell = subprocess.run(
        ["sh", "-c", script, "sh", sys.executable],
        capture_output=True,
        text=True,
        check=False,
        env={"PWD": os.getcwd(), "HOME": str(Path.home())},
    )
    assert json.loads(shell.stdout) == words, shell.stderr


@posix
@pytest.mark.parametrize(
    "line, words",
    [
        ('inspect -f "{{.Id}}" x', ["inspect", "-f", "{{.Id}}", "x"]),
        ("inspect -f {{.Id}} x", ["inspect", "-f", "{{.Id}}", "x"]),
        ('--format "table {{.I}}\\t{{.S}}"', ["--format", "table {{.I}}\\t{{.S}}"]),
        ('sh -c "a | b > c; d && e"', ["sh", "-c", "a | b > c; d && e"]),
        ("sh -c 'echo $HOME'", ["sh", "-c", "echo $HOME"]),  # for the container's shell
        ('sh -c "echo \\$HOSTNAME"', ["sh", "-c", "echo $HOSTNAME"]),
        ("echo $HOSTNAME", ["echo", "$HOSTNAME"]),
        ("echo \"|\" \\; '>' a\\&b", ["echo", "|", ";", ">", "a&b"]),
        ("a #b", ["a", "#b"]),
        ("''", [""]),
        ("", []),
        ("  \t ", []),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    assert split(line) == words


@posix
def test_the_two_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / 'it\'s a "folder"'
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", "/home/me\\you")
    line = "-v $PWD:/a \"${PWD}/b:/b\" $HOME '$PWD' \\$PWD $PWDX"
    words = ["-v", f"{folder}:/a", f"{folder}/b:/b", "/home/me\\you", "$PWD", "$PWD", "$PWDX"]
    assert split(line) == words
    kept = ["-v", "$PWD:/a", "$PWD/b:/b", *words[3:]]
    assert split(line, ["PWD"]) == kept


@pytest.mark.parametrize(
    "line, operator",
    [
        ("ps | head", "|"),
        ("ps|head", "|"),
        ("ps || x", "||"),
        ("ps && x", "&&"),
        ("ps; ls", ";"),
        ("ps;", ";"),
        ("logs x > y", ">"),
        ("logs x>y", ">"),
        ("logs x 2>&1", ">"),
        ("logs >> y", ">>"),
        ("load < x", "<"),
        ("cat <<EOF", "<<"),
        ("ps &", "&"),
        ("rm $(docker ps -q)", "$("),
        ("rm `docker ps -q`", "`"),
    ],
)
def test_a_shells_operators_are_refused_by_name(line: str, operator: str) -> None:
    assert f"`{operator}` belongs to a shell" in refused(split, line)


@pytest.mark.parametrize(
    "line", ["echo 'a", 'echo "a', "it's", 'a"b\\"', "a\\" if sys.platform != "win32" else "'"]
)
def test_an_open_quote_is_refused(line: str) -> None:
    assert "quote is opened and never closed" in refused(split, line)


def test_a_number_is_a_whole_one_within_its_limits() -> None:
    assert [number(word, 8, 256, "") for word in ("8", "016", "256")] == [8, 16, 256]
    for word in ("7", "257", "", "x", "-8", "+9", "9.0", "²", "٣٤", "9" * 5000):
        assert refused(number, word, 8, 256, "from 8 to 256") == "from 8 to 256"
