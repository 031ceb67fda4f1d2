"""JupyterLab in headless Chromium, for tests and for anyone who wants to look at a lesson.

    python tests/lab.py NOTEBOOK FOLDER [--dark]     Run All, then screenshots of the notebook

Driven by JupyterLab's command ids, which know no language and no layout.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = (
    os.environ.get("CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("google-chrome")
    or "chromium"
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-component-update",
    "--disable-background-networking",
    "--disable-sync",
    "--force-color-profile=srgb",
]
IDLE = """() => {
  const context = window.jupyterapp.shell.currentWidget?.sessionContext;
  return context?.session?.kernel?.status === 'idle';
}"""


@contextmanager
def server(folder: Path, dark: bool = False, **env: str) -> Iterator[str]:
    """JupyterLab on ``folder`` with settings of its own; its address, the token after ``?``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token, home = secrets.token_hex(8), Path(tempfile.mkdtemp(prefix="lab-"))
    settings: dict[str, dict[str, Any]] = {
        "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
        "@jupyterlab/apputils-extension/notification": {
            "fetchNews": "false",
            "checkForUpdates": False,
        },
        "@jupyterlab/apputils-extension/themes": {
            "theme": "JupyterLab Dark" if dark else "JupyterLab Light"
        },
    }
    for name, value in settings.items():
        path = home / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    argv = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    own = {
        f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "RUNTIME", "DATA")
    }
    own |= {
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "ws"),
    }
    with open(home / "log", "w") as log:
        process = subprocess.Popen(argv, env={**os.environ, **own, **env}, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((home / "log").read_text()) from None
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/?token={token}"
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(home, ignore_errors=True)


class Lab:
    """One notebook in one page.

    ``errors``: what the page complained of; ``outside``: requests elsewhere.
    """

    def __init__(self, page: Page, address: str, notebook: str) -> None:
        self.page, self.errors, self.outside, self.theme = page, list[str](), list[str](), ""
        base, token = address.split("/?")
        ours = (base, base.replace("http", "ws"), "data:", "blob:")
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console", lambda said: self.errors.append(said.text) if said.type == "error" else None
        )
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(ours) else self.outside.append(asked.url),
        )
        page.goto(f"{base}/lab/workspaces/test/tree/{notebook}?reset&{token}")
        page.wait_for_function("() => window.jupyterapp && window.jupyterapp.shell", timeout=60_000)
        page.evaluate("() => window.jupyterapp.restored.then(() => null)")
        page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell", timeout=60_000)
        self.command("application:set-mode", {"mode": "single-document"})
        page.wait_for_function(IDLE, timeout=60_000)

    def command(self, name: str, args: dict[str, Any] | None = None) -> None:
        """Run a JupyterLab command by its id."""
        self.page.evaluate(
            "([n, a]) => window.jupyterapp.commands.execute(n, a).then(() => null)",
            [name, args or {}],
        )

    def run_all(self) -> None:
        """Clear all outputs, then run every cell to the end."""
        self.command("notebook:clear-all-cell-outputs")
        self.command("notebook:run-all-cells")
        self.page.wait_for_function(IDLE, timeout=300_000)
        self.page.wait_for_timeout(500)

    def cells(self) -> list[dict[str, Any]]:
        """The notebook as the page holds it, outputs included."""
        found: list[dict[str, Any]] = self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.content.model.toJSON().cells"
        )
        return found

    def cell(self, source: str) -> Any:
        """The cell whose source starts with ``source``."""
        index = next(
            n for n, cell in enumerate(self.cells()) if "".join(cell["source"]).startswith(source)
        )
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell").nth(
            index
        )


@contextmanager
def chromium() -> Iterator[Browser]:
    """The one browser: Playwright takes no second one in the same thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser,
    notebook: str,
    dark: bool = False,
    size: tuple[int, int] = (1280, 900),
    **env: str,
) -> Iterator[Lab]:
    """A notebook open in a JupyterLab of its own."""
    with server(ROOT, dark, **env) as address:
        page = browser.new_page(viewport={"width": size[0], "height": size[1]}, locale="en-US")
        try:
            yield Lab(page, address, notebook)
        finally:
            page.close()


if __name__ == "__main__":
    target, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    with (
        chromium() as browser,
        opened(browser, sys.argv[1], "--dark" in sys.argv, (1180, 1600)) as lab,
    ):
        lab.run_all()
        cells = lab.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell")
        for number in range(0, cells.count(), 6):
            cells.nth(number).evaluate("cell => cell.scrollIntoView({block: 'start'})")
            lab.page.wait_for_timeout(150)
            lab.page.screenshot(path=out / f"{target.stem}-{number:02}.png")
        print("errors:", lab.errors, "outside:", lab.outside)
