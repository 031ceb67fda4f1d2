"""Sentences: what a student can meet goes through the catalogue, whole, with named places."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.frontend import CommandLineInterface
from babel.messages.pofile import read_po, write_po
from conftest import Notebook

from labkit import messages
from labkit.engine import engines
from labkit.errors import LabError
from labkit.material import material
from labkit.messages import N_, Catalogue, speak_as_in

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [
    *(ROOT / "labkit").rglob("*.py"),
    *(ROOT / "notebooks" / "lessons").glob("*/*.py"),
    *(ROOT / "tests" / "samples" / "shelf").glob("*.py"),  # an engine to learn from
]
# Whose first words are sentences; babel takes them from the same places.
TRANSLATED = {"_", "N_", "many", "LabError", "MissingProgram", "NotRecorded", "NotYet"}
# What only contributors and teachers meet: recording, and the help of the command line.
ENGLISH = {"rehearse.py", "cli.py", "commands.py"}
WORDS = re.compile(r"[A-Za-z][a-z’']+,? [a-z’']{2,}[,;:]? [a-z’']{2,}")
# Programs' own words, CSS and HTML, shell: what no student reads as a sentence.
NO_SENTENCE = re.compile(r"^[a-z0-9_ .-]+$|[{};]|</|--|^\s*(?:exec|for) |\\|\(\?|\$")
# What a regular expression finds, what a test types for a student.
NOT_SHOWN = {"compile", "search", "sub", "match", "ValueError", "Try"}
# What engines say, for labkit to know it again.
THEIRS = {"Conflict. The container name", "Failed to create the VirtualBox object!"}
TYPED = tuple(f"{name} " for kind in engines().values() for name in kind.programs)  # commands
WRITTEN = {"report, first draft", "a poem instead of a report"}  # by the guest of lesson 09
each = pytest.mark.parametrize("path", sorted(SOURCES), ids=lambda path: "/".join(path.parts[-2:]))


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def name_of(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def strings(tree: ast.AST) -> dict[int, ast.Constant]:
    """The string constants below a node, docstrings left out."""
    found = {
        id(node): node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            found.pop(id(node.value), None)
    return found


def bypassing(source: str) -> list[str]:
    """Sentences in Python source that no catalogue will see."""
    tree = ast.parse(source)
    found = strings(tree)
    for call in calls(tree):
        if name_of(call) in (*TRANSLATED, *NOT_SHOWN):
            for key in strings(call):
                found.pop(key, None)
    for table in ast.walk(tree):
        for key in table.keys if isinstance(table, ast.Dict) else ():
            found.pop(id(key), None)
    return [
        node.value
        for node in found.values()
        if WORDS.search(node.value)
        and not NO_SENTENCE.search(node.value)
        and not node.value.startswith(TYPED)
        and node.value not in THEIRS | WRITTEN
    ]


@each
def test_no_sentence_bypasses_the_catalogue(path: Path) -> None:
    if path.name not in ENGLISH:
        assert bypassing(path.read_text("utf-8")) == []


@each
def test_a_sentence_is_one_literal_with_named_places_that_are_filled(path: Path) -> None:
    for call in calls(ast.parse(path.read_text("utf-8"))):
        if path.name in ENGLISH or name_of(call) not in TRANSLATED or not call.args:
            continue
        assert not isinstance(call.args[0], ast.JoinedStr | ast.BinOp), ast.unparse(call)
        text = call.args[0]
        if isinstance(text, ast.Constant) and call.keywords and all(k.arg for k in call.keywords):
            fields = {field for _, field, _, _ in string.Formatter().parse(text.value) if field}
            given = {keyword.arg for keyword in call.keywords} | {"n"}
            assert {field.split(".")[0].split("[")[0] for field in fields} <= given, text.value


def test_a_sentence_that_bypasses_is_found() -> None:
    assert bypassing('show("No image of that name is here.")') != []
    assert bypassing('show(f"No image of that name {x}")') != []
    assert bypassing('show(_("No image of that name is here."))') == []
    assert bypassing('raise LabError("No image of that name is here.")') == []
    assert bypassing('"""No image of that name is here."""') == []


# -- the catalogue itself -----------------------------------------------------------------------


@pytest.fixture
def spanish(tmp_path: Path) -> Iterator[Catalogue]:
    """A catalogue of a few sentences, while Spanish is spoken."""
    catalogue = Catalog(locale="es")
    catalogue.add("There is no image {name}.", "No hay ninguna imagen {name}.")
    catalogue.add(("{n} file", "{n} files"), ("{n} fichero", "{n} ficheros"))
    catalogue.add("Lesson {name} begins.", "Empieza la lección {name}.")
    with (tmp_path / "es.po").open("wb") as file:
        write_po(file, catalogue)
    speak_as_in(Path("/course/notebooks/es"))
    yield Catalogue(tmp_path)
    speak_as_in(Path("/course/notebooks/en"))


def test_sentences_are_spoken_in_the_language_of_the_notebook(spanish: Catalogue) -> None:
    assert spanish("There is no image {name}.", name="x") == "No hay ninguna imagen x."
    assert [spanish.many("{n} file", "{n} files", n) for n in (1, 2)] == ["1 fichero", "2 ficheros"]
    assert spanish(N_("Not translated {yet}.")) == "Not translated {yet}."
    speak_as_in(Path("/"))
    assert spanish("There is no image {name}.", name="x") == "There is no image x."
    assert [spanish.many("{n} file", "{n} files", n) for n in (1, 2)] == ["1 file", "2 files"]


def test_without_values_braces_stay_and_nothing_is_nothing(spanish: Catalogue) -> None:
    assert spanish("{{.Id}} of {x}") == "{{.Id}} of {x}" and spanish("") == ""
    assert str(LabError("{{.Id}} of {x}")) == "{{.Id}} of {x}"
    assert str(LabError("no {x:.3}", x="abcdef")) == "no abc"


def test_a_lesson_speaks_as_its_notebooks_folder_says(
    replay: Notebook, spanish: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages._, "folders", spanish.folders)
    folder = spanish.folders[0]
    replay.run("%load_ext labkit")
    for name, begins in {"es": "Empieza la lección 00.", "en": "Lesson 00 begins."}.items():
        (folder / name).mkdir()
        monkeypatch.chdir(folder / name)
        assert begins in replay.run("%lesson 00")


def test_a_lesson_is_translated_beside_it(
    spanish: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages._, "folders", ())
    assert messages._("Lesson {name} begins.", name="x") == "Lesson x begins."
    assert material(tmp_path) is material(tmp_path) and messages._.folders == (tmp_path,)
    assert messages._("Lesson {name} begins.", name="x") == "Empieza la lección x."


def test_the_line_for_translators_finds_every_sentence(tmp_path: Path) -> None:
    assert messages.__doc__
    line = messages.__doc__.replace("\\\n", "").partition("pybabel ")[2].partition("\n")[0]
    places = {"all.pot": str(tmp_path / "all.pot"), "labkit": str(ROOT / "labkit")}
    CommandLineInterface().run(["", *(places.get(word, word) for word in line.split())])
    with (tmp_path / "all.pot").open("rb") as file:
        found = read_po(file)
    for call in (
        call
        for path in (ROOT / "labkit").rglob("*.py")
        for call in calls(ast.parse(path.read_text("utf-8")))
    ):
        if name_of(call) in TRANSLATED and call.args and isinstance(call.args[0], ast.Constant):
            assert call.args[0].value in found
