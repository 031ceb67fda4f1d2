"""The lessons as a student sees them: JupyterLab in headless Chromium, with the keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

if TYPE_CHECKING:
    from lab import Lab
    from playwright.sync_api import Browser

pytestmark = pytest.mark.live("chromium", "playwright")
ROOT = Path(__file__).resolve().parent.parent
SHOTS = ROOT / "artifacts"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from lab import chromium  # late, as all of playwright, which need not be here

    with chromium() as found:
        yield found


def texts(cell: Any) -> list[str]:
    return [output["data"]["text/plain"] for output in cell.get("outputs", [])]


@contextmanager
def run_all(browser: Browser, lesson: str, dark: bool) -> Iterator[Lab]:
    """A lesson after Run All, in replay: as it is stored, and without a complaint to the end."""
    from lab import opened

    notebook = f"notebooks/en/{lesson}.ipynb"
    env = {"LABKIT_MODE": "replay", "LABKIT_PROGRESS": "on"}
    with opened(browser, notebook, dark, **env) as found:
        found.theme = f"{lesson[:2]}-{'dark' if dark else 'light'}"
        found.run_all()
        stored = nbformat.read(ROOT / notebook, as_version=4).cells
        for cell, kept in zip(found.cells(), stored, strict=True):
            kinds = {output["output_type"] for output in cell.get("outputs", [])}
            assert not kinds & {"error", "stream"}, cell["source"]
            assert texts(cell) == texts(kept)
        yield found
        assert not found.errors and not found.outside


@pytest.fixture(scope="module", params=["light", "dark"])
def lab(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Lab]:
    with run_all(browser, "12-docker-images-and-layers", request.param == "dark") as found:
        yield found


def expect(found: Any) -> Any:
    """Playwright's assertions, which wait until they hold."""
    from playwright.sync_api import expect

    return expect(found)


def shot(lab: Lab, name: str, of: Any = None) -> Path:
    SHOTS.mkdir(exist_ok=True)
    path = SHOTS / f"{name}-{lab.theme}.png"
    (of or lab.page).screenshot(path=path)
    return path


def press(lab: Lab, cell: Any, name: str) -> None:
    """A button, with the keyboard."""
    cell.locator("button", has_text=re.compile(f"^{name}$")).focus()
    lab.page.keyboard.press("Space")


def choose(lab: Lab, of: Any, key: str) -> None:
    """An option, with the keyboard: in a closed list JupyterLab takes letters for itself."""
    before = len(lab.cells())
    of.focus()
    for pressed in ("Space", key, "Enter"):
        lab.page.keyboard.press(pressed)
    assert len(lab.cells()) == before


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
    expect(cell.locator("table").nth(1)).to_contain_text("ADD file:")  # Debian's one layer
    choose(lab, cell.locator("select").nth(1), "h")
    expect(cell.locator("table").nth(1)).to_contain_text("7COPY file:")


def test_prediction_with_the_keyboard(lab: Lab) -> None:
    cell = lab.cell("%predict shrink")
    cell.scroll_into_view_if_needed()
    cell.locator("input[type=radio]").first.focus()
    lab.page.keyboard.press("Space")
    for key in ("Tab", "Space", "Tab", "Tab", "Space"):  # choose B; past C, press the button
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
        told = [picture.locator(tag).first.text_content() or "" for tag in ("title", "desc")]
        assert len("".join(told)) > 20


def test_screenshot_is_kept(lab: Lab) -> None:
    lab.cell("%forest busybox debian").evaluate("cell => cell.scrollIntoView({block: 'start'})")
    lab.page.wait_for_timeout(300)
    assert shot(lab, "lesson-12").stat().st_size > 20_000


# -- the panels of the other lessons ------------------------------------------------------------


def panel(lab: Lab, source: str) -> Any:
    cell = lab.cell(source)
    cell.scroll_into_view_if_needed()
    return cell


def network_panels(lab: Lab) -> None:
    cell = panel(lab, "%net_panel")
    row = cell.locator("tr", has=lab.page.locator("th", has_text=re.compile("^printer$"))).last
    expect(row).to_contain_text(re.compile(r"printer\s*✔ yes\s*✘ no"))  # to pc1, not to sec1
    choose(lab, cell.locator(".widget-dropdown", has_text="printer").locator("select"), "ArrowDown")
    expect(row).to_contain_text(re.compile(r"printer\s*✘ no\s*✔ yes"))
    expect(cell.locator("svg[role=img] desc")).to_contain_text(
        re.compile(r"port 3 +access 20 +printer")
    )
    expect(cell).to_contain_text("pc1 → printer: port s1.1 is in VLAN 10, port s1.3 in VLAN 20")
    shot(lab, "net-panel", cell)
    press(lab, cell, "As it was")
    expect(row).to_contain_text(re.compile(r"printer\s*✔ yes\s*✘ no"))
    cell = panel(lab, "%net_steps")
    picture = cell.locator("svg[role=img] desc")
    expect(picture).to_contain_text("frame 1: pc1 → s1.1")
    for _ in range(2):
        press(lab, cell, "Next")
    expect(cell.locator(".widget-readout")).to_have_text("3")
    expect(picture).to_contain_text(re.compile("frame 3: s1"))
    expect(cell).to_contain_text("who has pc2? tell pc1")
    shot(lab, "net-steps", cell)
    press(lab, cell, "Back")
    expect(picture).to_contain_text("frame 2: s1")


def tunnel_panel(lab: Lab) -> None:
    cell = panel(lab, "%tunnel_panel")
    expect(cell).to_contain_text('for "GET /nota?pin=1234" finds it once.')
    choose(lab, cell.locator("select"), "w")  # wireguard
    expect(cell).to_contain_text('for "GET /nota?pin=1234" finds it not once.')
    expect(cell.locator("[role=img]")).to_have_attribute(
        "aria-label", re.compile("WireGuard 16 .* encrypted")
    )
    shot(lab, "tunnel-panel", cell)
    cell.locator("input[type=text]").focus()
    lab.page.keyboard.press("Control+a")
    lab.page.keyboard.press("Delete")
    expect(cell).to_contain_text("Send one letter at least")
    lab.page.keyboard.type("hello")
    expect(cell).to_contain_text('for "hello" finds it not once.')


def disk_panel(lab: Lab) -> None:
    cell = panel(lab, "%disk_panel")
    press(lab, cell, "Start")
    expect(cell).to_contain_text("new and empty")
    cell.locator(".noUi-handle").first.focus()
    lab.page.keyboard.press("ArrowRight")
    press(lab, cell, "Write 64 KiB")
    expect(cell).to_contain_text("of the guest's disk, in both")
    expect(cell).to_contain_text("1 of 16 blocks")
    expect(cell.locator("svg[role=img]")).to_have_count(2)
    shot(lab, "disk-panel", cell)
    press(lab, cell, "Start over")
    expect(cell).to_contain_text("0 of 16 blocks")


def snapshot_panel(lab: Lab) -> None:
    cell = panel(lab, "%snapshot_panel")
    press(lab, cell, "Start")
    expect(cell).to_contain_text("is a copy of lab09")
    cell.locator("select").first.select_option("draft")
    press(lab, cell, "Delete")
    expect(cell).to_contain_text("Delete draft?")
    expect(cell).to_contain_text("Lost for ever")
    shot(lab, "snapshot-panel", cell)
    press(lab, cell, "Yes, do it")
    expect(cell).to_contain_text("Deleting snapshot 'draft'")
    shot(lab, "snapshot-panel-after", cell)


PANELS = {
    "02-vlans": network_panels,
    "03-vpns-and-tunnels": tunnel_panel,
    "07-vm-disk-formats": disk_panel,
    "09-snapshots": snapshot_panel,
}


@pytest.mark.parametrize("lesson", PANELS)
def test_panel_with_the_keyboard(browser: Browser, lesson: str) -> None:
    with run_all(browser, lesson, lesson[:2] in ("03", "09")) as lab:
        PANELS[lesson](lab)
