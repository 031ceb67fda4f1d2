"""Panels without a browser: press their buttons, move their sliders, read what they show."""

from __future__ import annotations

import re
import time
from typing import Any

import ipywidgets as w
import pytest
from conftest import Notebook
from test_show import Page

from labkit import tasks, widgets
from labkit.commands import LabError
from labkit.layers import Image
from labkit.tasks import Prediction

FIRST, SECOND, THIRD = ("sha256:" + letter * 64 for letter in "abc")
LISTINGS = {
    FIRST: ["d 0 bin\t755:0:0", "f 1000 bin/sh", "l 0 bin/ls\tsh", "d 0 etc\t755:0:0", "f 10 etc/motd", "f 5 gone.txt"],
    SECOND: ["f 20 etc/motd", "d 0 etc/deep\t755:0:0", "d 0 etc/deep/er\t755:0:0", "f 7 etc/deep/er/new.txt",
             "f 0 .wh.gone.txt"],
    THIRD: ["f 3 third.txt"],
}


def image(name: str, *diff_ids: str, extra: dict[str, list[str]] | None = None) -> Image:
    """Each layer made by a COPY, with an ENV, which has no files, behind the first."""
    history: list[dict[str, Any]] = [{"created_by": f"COPY <{diff_id[7:9]}> /", "empty": False} for diff_id in diff_ids]
    history.insert(1, {"created_by": "ENV A=1", "empty": True})
    config = {"diff_ids": list(diff_ids), "history": history}
    return Image.from_listings(name, f"sha256:{name}", config, {**LISTINGS, **(extra or {})})


class Shelf:
    """A lesson that knows a few images."""

    badge = "replay · recorded 2026-01-02 on Docker 1.0"

    def __init__(self, *images: Image) -> None:
        self.images = {image.image: image for image in images}
        self.committed: dict[str, str] = {}

    def world(self) -> dict[str, Any]:
        return {"images": [{"tags": [name]} for name in [*self.images, "unrecorded"]]}

    def layers(self, name: str) -> Image:
        if name not in self.images:
            raise LabError(f"The recording does not hold {name}.")
        return self.images[name]


def inside(panel: w.Widget) -> list[w.Widget]:
    """All widgets of a panel, outermost first."""
    return [panel, *(found for child in getattr(panel, "children", ()) for found in inside(child))]


def the(kind: type[w.Widget], panel: w.Widget) -> list[Any]:
    return [found for found in inside(panel) if type(found) is kind]


def named(panel: w.Widget, description: str) -> Any:
    return next(found for found in the(w.Button, panel) if found.description == description)


def text(html: str) -> str:
    return re.sub(r"\s+", " ", Page(html).text)


# -- predictions --------------------------------------------------------------------------------

ASKED = Prediction("guess", "What <happens>?", {"A": "This & that.", "B": "Nothing."}, {"A": "why", "B": "why"},
                   lambda lesson: "A")


def test_a_choice_is_asked_for_and_then_fixed() -> None:
    lesson = Shelf()
    panel = widgets.chooser(lesson, ASKED)
    choices, button = the(w.RadioButtons, panel), named(panel, "Commit")
    assert [label for choice in choices for label, _ in choice.options] == ["A) This & that.", "B) Nothing."]
    assert [choice.value for choice in choices] == [None, None]
    button.click()
    assert "Choose one first" in the(w.HTML, panel)[-1].value and lesson.committed == {} and not button.disabled
    choices[0].value = "A"
    choices[1].value = "B"  # one choice takes the place of the other
    assert [choice.value for choice in choices] == [None, "B"]
    assert lesson.committed == {}  # a choice is not yet a commitment
    button.click()
    assert lesson.committed == {"guess": "B"} and button.disabled and all(choice.disabled for choice in choices)
    assert "Committed to B)" in the(w.HTML, panel)[-1].value


def test_a_choice_that_was_committed_stays() -> None:
    lesson = Shelf()
    lesson.committed["guess"] = "A"
    panel = widgets.chooser(lesson, ASKED)
    assert all(choice.disabled for choice in the(w.RadioButtons, panel))
    assert "Committed to A)" in the(w.HTML, panel)[-1].value
    assert named(panel, "Commit").disabled


def test_a_prediction_can_be_read_and_made_without_widgets() -> None:
    bundle = widgets.chooser(Shelf(), ASKED)._repr_mimebundle_()
    assert bundle["text/plain"].splitlines() == ["? What <happens>?", "A) This & that.", "B) Nothing.",
                                                 "Commit with %predict guess LETTER"]
    assert "What &lt;happens&gt;?" in the(w.HTML, widgets.chooser(Shelf(), ASKED))[0].value


# -- the explorer -------------------------------------------------------------------------------

ONE, TWO, THREE = image("one", FIRST, SECOND), image("two", FIRST, THIRD), image("three", SECOND)


def test_the_slider_lays_layer_upon_layer() -> None:
    panel = widgets.explorer(Shelf(ONE, TWO, THREE), ["one"])  # type: ignore[arg-type]
    slider, (_, stack, tree) = the(w.IntSlider, panel)[0], the(w.HTML, panel)
    assert (slider.min, slider.max, slider.value) == (0, 2, 2)  # ENV holds no files: no layer to lay
    assert "new.txt" in text(tree.value) and "etc/motd" not in tree.value and "~ motd" in text(tree.value)
    assert "− gone.txt" in text(tree.value)
    assert "▶ 2" in text(stack.value) and "▶ 1" not in text(stack.value)
    slider.value = 1
    assert "gone.txt" in text(tree.value) and "−" not in text(tree.value) and "new.txt" not in text(tree.value)
    assert "+ motd" in text(tree.value) and "▶ 1" in text(stack.value)
    assert stack.value.count("opacity") == 1
    slider.value = 0
    assert "(empty)" in tree.value and "▶" not in stack.value and stack.value.count("opacity") == 2


def test_the_stack_tells_instruction_size_and_changes_newest_on_top() -> None:
    said = text(widgets.stack_html(ONE, 2))
    rows = re.findall(r"COPY <(\w\w)> / ?(\S+?) ?(\+\d+ ~\d+ −\d+)", said)
    assert rows == [("bb", "27B", "+3 ~1 −1"), ("aa", "1.01kB", "+6 ~0 −0")] or rows == [
        ("bb", "27B", "+3 ~1 −1"), ("aa", "1.02kB", "+6 ~0 −0")]
    assert "1 more steps" in said and "15B can no longer be seen" in said


def test_two_side_by_side_mark_what_they_share() -> None:
    panel = widgets.explorer(Shelf(ONE, TWO, THREE), ["one", "two"])  # type: ignore[arg-type]
    _, left, _, right, _ = the(w.HTML, panel)
    for stack in (left, right):
        assert text(stack.value).count("=") == 1 and stack.value.count("double") == 1
        assert re.search(r"= ?1 ?COPY <aa>", text(stack.value))
    picks = the(w.Dropdown, panel)
    picks[1].value = "three"  # the same second layer, but on another base: not shared
    for stack in (left, right):
        assert "=" not in text(stack.value) and "double" not in stack.value
    picks[1].value = "one"
    assert text(left.value).count("=") == text(right.value).count("=") == 2


def test_another_image_is_picked() -> None:
    panel = widgets.explorer(Shelf(ONE, TWO, THREE), ["one"])  # type: ignore[arg-type]
    pick, slider, (_, stack, tree) = the(w.Dropdown, panel)[0], the(w.IntSlider, panel)[0], the(w.HTML, panel)
    assert set(pick.options) == {"one", "two", "three", "unrecorded"}
    slider.value = 1
    pick.value = "three"
    assert (slider.max, slider.value) == (1, 1) and "new.txt" in tree.value
    pick.value = "two"
    assert (slider.max, slider.value) == (2, 2) and "third.txt" in tree.value
    pick.value = "unrecorded"
    assert "does not hold unrecorded" in stack.value and tree.value == ""
    pick.value = "one"
    assert "new.txt" in tree.value and "does not hold" not in stack.value


def test_the_explorer_can_be_read_without_widgets() -> None:
    bundle = widgets.explorer(Shelf(ONE, TWO), ["one", "two"])._repr_mimebundle_()  # type: ignore[arg-type]
    assert bundle["text/plain"].splitlines() == ["Layer explorer (needs JupyterLab): one and two", "shared layers: 1"]


@pytest.mark.parametrize("names", [[], ["one", "two", "three"], ["nosuch"], ["one", "nosuch"]])
def test_an_explorer_of_nothing_is_one_line(names: list[str]) -> None:
    with pytest.raises(LabError) as caught:
        widgets.explorer(Shelf(ONE), names)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


# -- the tree -----------------------------------------------------------------------------------


def test_folders_open_with_the_keyboard_and_tell_what_they_hold() -> None:
    html = widgets.tree_html(ONE, 2)
    tags = Page(html).tags
    assert tags.count("details") == tags.count("summary") == 4  # bin, etc, etc/deep, etc/deep/er
    assert "bin/ 1 files, 1kB" in text(html).replace("2 files", "1 files")
    assert "<details open>" in html  # what the layer touched is seen at once
    assert "ls → sh" in text(html)


HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&amp;", "a\nb\x1b[31m",
           "\udcff\udcfe", "\x00\x7f\u202e"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_hostile_archives_are_only_text(name: str) -> None:
    from labkit.layers import listing

    lines = list(listing([("f", name, 5, ""), ("d", f"d{name}", 0, "755:0:0"), ("f", f"d{name}/{name}", 5, ""),
                          ("l", f"l{name}", 0, name)]))
    gone = list(listing([("f", f".wh.{name}", 0, "")]))
    bad = image(f"i{name}", "sha256:x", "sha256:y", extra={"sha256:x": lines, "sha256:y": gone})
    for html in [widgets.tree_html(bad, n) for n in (0, 1, 2)] + [widgets.stack_html(bad, 2)]:
        assert set(Page(html).tags) <= {
            "div", "details", "summary", "small", "s", "table", "caption", "tr", "td", "code"}
        html.encode("utf-8")
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", html)


def test_an_endless_nest_of_folders_is_cut_off() -> None:
    deep = "/".join("d" * 2000)
    lines = [f"f 1 {deep}/x", *(f"f 1 {a}/{b}/{c}/f" for a in range(18) for b in range(18) for c in range(18))]
    nested = image("nested", "sha256:x", extra={"sha256:x": lines})
    started = time.perf_counter()
    html = widgets.tree_html(nested, 1)
    assert len(html) < 2_000_000 and time.perf_counter() - started < 5


def test_a_crowded_folder_is_cut_off_and_says_so() -> None:
    crowd = image("crowd", "sha256:x", extra={"sha256:x": [f"f 1 n{number:05}" for number in range(20_000)]})
    html = widgets.tree_html(crowd, 1)
    assert "… and 19940 more" in html and len(html) < 20_000


# -- before and after ---------------------------------------------------------------------------


@pytest.fixture
def ready(replay: Notebook) -> tuple[Notebook, str]:
    """Lesson 12 in replay, just before its cell %before_after; and the command of that cell."""
    return replay, replay.until("12", "%before_after").partition(" ")[2]


def test_run_shows_both_pictures_and_undo_goes_back(ready: tuple[Notebook, str]) -> None:
    notebook, line = ready
    lesson = notebook.lesson
    tasks.leave(lesson)
    state = lesson.tape.state
    panel = widgets.before_after(lesson, line)
    view, run, undo = the(w.HTML, panel)[0], named(panel, "Run"), named(panel, "Undo")
    assert undo.disabled and not run.disabled and view.value == ""
    run.click()
    assert view.value.count("<svg") == 2 and "Before" in view.value and "After" in view.value
    assert run.disabled and not undo.disabled and lesson.tape.state != state
    undo.click()
    assert "Undone" in view.value and not run.disabled and undo.disabled and lesson.tape.state == state
    run.click()
    assert view.value.count("<svg") == 2


@pytest.mark.parametrize("typed,said", [("docker 'x", "A quote is opened"), ("ls -la", "Name the command to try"),
                                        ("", "Name the command to try"), ("docker ps | head", "belongs to a shell"),
                                        ("docker run nosuch", "was not recorded")])
def test_a_command_that_cannot_be_run_is_said_in_the_panel(ready: tuple[Notebook, str], typed: str, said: str) -> None:
    notebook, line = ready
    panel = widgets.before_after(notebook.lesson, line)
    the(w.Text, panel)[0].value = typed
    named(panel, "Run").click()
    assert said in text(the(w.HTML, panel)[0].value)
    the(w.Text, panel)[0].value = line  # and then it can be corrected
    named(panel, "Run").click()
    assert the(w.HTML, panel)[0].value.count("<svg") == 2


def test_only_controls_that_work_from_the_keyboard(ready: tuple[Notebook, str]) -> None:
    notebook, line = ready
    core = {w.VBox, w.HBox, w.HTML, w.RadioButtons, w.Button, w.Dropdown, w.IntSlider, w.Text}
    for panel in (widgets.chooser(Shelf(), ASKED), widgets.explorer(Shelf(ONE, TWO), ["one", "two"]),  # type: ignore[arg-type]
                  widgets.before_after(notebook.lesson, line)):
        assert {type(found) for found in inside(panel)[1:]} <= core and isinstance(panel, w.VBox)
        for found in inside(panel):
            if isinstance(found, w.HTML):
                assert "tabindex" not in found.value and "onclick" not in found.value
            if isinstance(found, (w.Dropdown, w.IntSlider, w.Text, w.Button)):
                assert found.description  # read aloud
