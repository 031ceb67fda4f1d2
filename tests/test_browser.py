"""The lessons as a student sees them: JupyterLab in headless Chromium, with the keyboard."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

if TYPE_CHECKING:
    from lab import Lab
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parent.parent
SHOTS = ROOT / "artifacts"
NOTEBOOK = "notebooks/en/12-docker-images-and-layers.ipynb"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        from lab import chromium
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("playwright is not installed: pip install -e '.[dev]'")
    with chromium() as found:
        yield found


@pytest.fixture(scope="module", params=["light", "dark"])
def lab(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Lab]:
    from lab import opened

    with opened(browser, NOTEBOOK, request.param == "dark", LABKIT_MODE="replay", LABKIT_PROGRESS="on") as found:
        found.theme = request.param
        found.run_all()
        yield found
        assert not found.errors
        assert not found.outside


def expect(found: Any) -> Any:
    """Playwright's assertions, which wait until they hold."""
    from playwright.sync_api import expect

    return expect(found)


def shot(lab: Lab, name: str, of: Any = None) -> Path:
    SHOTS.mkdir(exist_ok=True)
    path = SHOTS / f"{name}-{lab.theme}.png"
    (of or lab.page).screenshot(path=path)
    return path


def test_run_all_shows_no_error_and_what_is_stored(lab: Lab) -> None:
    stored = nbformat.read(ROOT / NOTEBOOK, as_version=4).cells
    for cell, kept in zip(lab.cells(), stored, strict=True):
        outputs = cell.get("outputs", [])
        assert not [o for o in outputs if o["output_type"] in ("error", "stream")], cell["source"]
        shown, known = ([o["data"]["text/plain"] for o in found] for found in (outputs, kept.get("outputs", [])))
        assert shown == known


def test_explorer_with_the_keyboard(lab: Lab) -> None:
    cell = lab.cell("%explore httpd")
    cell.scroll_into_view_if_needed()
    tree = cell.locator(".widget-html-content").nth(2)
    expect(cell.locator("table")).to_have_count(2)
    expect(cell.locator("table").first).to_contain_text("=")  # the layer both images have
    shot(lab, "explorer", cell)
    cell.locator(".noUi-handle").first.focus()
    for _ in range(7):
        lab.page.keyboard.press("ArrowLeft")
    expect(cell.locator(".widget-readout").first).to_have_text("0")
    expect(tree).to_contain_text("(empty)")
    lab.page.keyboard.press("ArrowRight")
    expect(tree).to_contain_text("etc/")
    folder = tree.locator("summary", has_text=re.compile("etc/")).first
    folder.focus()
    was = folder.evaluate("s => s.parentElement.open")
    lab.page.keyboard.press("Space")
    assert folder.evaluate("s => s.parentElement.open") is not was
    cell.locator("select").nth(1).focus()
    lab.page.keyboard.press("b")  # the options are a native list: a letter chooses, as everywhere
    expect(cell.locator("table").nth(1)).to_contain_text("file:")


def test_prediction_with_the_keyboard(lab: Lab) -> None:
    cell = lab.cell("%predict shrink")
    cell.scroll_into_view_if_needed()
    cell.locator("input[type=radio]").first.focus()
    lab.page.keyboard.press("Space")
    for key in ("Tab", "Space", "Tab", "Tab", "Space"):  # to B, choose it; past C to the button, press it
        lab.page.keyboard.press(key)
    expect(cell).to_contain_text("Committed to B")
    expect(cell.locator("button").first).to_be_disabled()


def test_before_and_after(lab: Lab) -> None:
    cell = lab.cell("%before_after")
    cell.scroll_into_view_if_needed()
    cell.locator("button", has_text="Run").focus()
    lab.page.keyboard.press("Space")
    expect(cell).to_contain_text("After")
    expect(cell.locator("svg[role=img]")).to_have_count(2)
    shot(lab, "before-after", cell)
    cell.locator("button", has_text="Undo").focus()
    lab.page.keyboard.press("Space")
    expect(cell).to_contain_text("Undone")


def test_pictures_carry_alt_text(lab: Lab) -> None:
    pictures = lab.page.locator(".jp-OutputArea svg[role=img]")
    assert pictures.count() >= 3
    for picture in pictures.all():
        assert len(picture.locator("title").first.text_content() or "") + len(
            picture.locator("desc").first.text_content() or "") > 20


def test_screenshot_is_kept(lab: Lab) -> None:
    lab.cell("%forest busybox debian").evaluate("cell => cell.scrollIntoView({block: 'start'})")
    lab.page.wait_for_timeout(300)
    assert shot(lab, "lesson-12").stat().st_size > 20_000


# -- the lessons on disks and machines ----------------------------------------------------------


@pytest.fixture(scope="module", params=["07-vm-disk-formats", "09-snapshots"])
def machines(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Lab]:
    from lab import opened

    notebook = f"notebooks/en/{request.param}.ipynb"
    with opened(browser, notebook, request.param.startswith("09"),
                LABKIT_MODE="replay", LABKIT_PROGRESS="on") as found:
        found.theme = request.param
        found.run_all()
        stored = nbformat.read(ROOT / notebook, as_version=4).cells
        for cell, kept in zip(found.cells(), stored, strict=True):
            shown, known = ([o["data"]["text/plain"] for o in outputs]
                            for outputs in (cell.get("outputs", []), kept.get("outputs", [])))
            assert shown == known
        yield found
        assert not found.errors
        assert not found.outside


def press(lab: Lab, cell: Any, name: str) -> None:
    """A button, with the keyboard."""
    cell.locator("button", has_text=re.compile(f"^{name}$")).focus()
    lab.page.keyboard.press("Space")


def test_panel_with_the_keyboard(machines: Lab) -> None:
    if machines.theme.startswith("07"):
        cell = machines.cell("%disk_panel")
        cell.scroll_into_view_if_needed()
        press(machines, cell, "Start")
        expect(cell).to_contain_text("new and empty")
        cell.locator(".noUi-handle").first.focus()
        machines.page.keyboard.press("ArrowRight")
        press(machines, cell, "Write 64 KiB")
        expect(cell).to_contain_text("of the guest's disk, in both")
        expect(cell).to_contain_text("1 of 16 blocks")
        expect(cell.locator("svg[role=img]")).to_have_count(2)
        shot(machines, "disk-panel", cell)
        press(machines, cell, "Start over")
        expect(cell).to_contain_text("0 of 16 blocks")
    else:
        cell = machines.cell("%snapshot_panel")
        cell.scroll_into_view_if_needed()
        press(machines, cell, "Start")
        expect(cell).to_contain_text("is a copy of lab09")
        cell.locator("select").first.select_option("draft")
        press(machines, cell, "Delete")
        expect(cell).to_contain_text("Delete draft?")
        expect(cell).to_contain_text("Lost for ever")
        shot(machines, "snapshot-panel", cell)
        press(machines, cell, "Yes, do it")
        expect(cell).to_contain_text("Deleting snapshot 'draft'")
        shot(machines, "snapshot-panel-after", cell)
