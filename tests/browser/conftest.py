"""A real JupyterLab and a real Chromium, both with clean settings, for any view's test."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import chromium
import nbformat
import pytest
from ipykernel.kernelspec import install
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from servers import KERNEL, PATIENCE, environment, free_port, served

# Without these, Chromium looks for updates and for its maker's hosts at every start.
FLAGS = [
    "--no-sandbox",
    # WebGL without a graphics card.
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium: the system's, or the one that LENS_CHROMIUM names."""
    path = os.environ.get("LENS_CHROMIUM") or chromium.find()
    if path is None:
        pytest.fail(
            "The browser tests drive Chromium, which is not installed: run "
            "`python tests/browser/chromium.py`, or set LENS_CHROMIUM to a Chromium or Chrome.",
            pytrace=False,
        )
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=path, args=FLAGS, timeout=1000 * PATIENCE
        )
        expect.set_options(timeout=1000 * PATIENCE)
        yield opened
        opened.close()


@dataclass
class Watched:
    """A browser page, and what it should not have done."""

    page: Page
    errors: list[str]
    strangers: list[str]

    def clean(self) -> None:
        """Assert that there was no error and that nothing but the own address was asked for."""
        assert not self.errors, "\n".join(self.errors)
        assert not self.strangers, "\n".join(self.strangers)


@pytest.fixture
def watch(browser: Browser) -> Iterator[Callable[..., Watched]]:
    """Open pages that may reach one address only: ``watch("file:", color_scheme="dark")``."""
    contexts: list[BrowserContext] = []

    def open_page(own: str, **settings: object) -> Watched:
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 1000}, **settings})
        contexts.append(context)
        context.set_default_timeout(1000 * PATIENCE)
        watched = Watched(context.new_page(), [], [])

        def guard(route):
            address = route.request.url
            if address.startswith((own, "data:", "blob:")):
                return route.continue_()
            watched.strangers.append(address)
            return route.abort()

        context.route("**/*", guard)
        watched.page.on("pageerror", lambda problem: watched.errors.append(str(problem)))
        watched.page.on(
            "console",
            lambda said: watched.errors.append(said.text) if said.type == "error" else None,
        )
        return watched

    yield open_page
    for context in contexts:
        context.close()


@dataclass
class Lab:
    """A running JupyterLab server."""

    address: str
    root: Path

    def notebook(self, name: str, cells: list[str]) -> str:
        """Write a notebook for the tests' own Python; give the address that opens it."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        return self.bring(book, name)

    def bring(self, book: nbformat.NotebookNode, name: str) -> str:
        """Take a notebook in; give the address that opens it with the tests' own Python."""
        # Without a kernel that exists, JupyterLab asks for one first.
        book.metadata.kernelspec = {"name": KERNEL, "display_name": KERNEL, "language": "python"}
        nbformat.write(book, self.root / name)
        return f"{self.address}/lab/tree/{name}?reset"

    def run(self, page: Page, address: str) -> None:
        """Open a notebook and start all of its cells."""
        page.goto(address)
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        page.wait_for_function(
            "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
            " === 'idle'"
        )
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")

    def finished(self, page: Page) -> None:
        """Wait until every cell has run; fail where one of them raised an error."""
        page.wait_for_function(
            """() => {
            const { content, sessionContext } = window.jupyterapp.shell.currentWidget;
            const cells = content.widgets.map((cell) => cell.model).filter((m) => m.outputs);
            const outputs = cells.flatMap((model) => model.outputs.toJSON());
            return outputs.some((output) => output.output_type === 'error') ||
                (cells.every((model) => model.executionCount) &&
                    sessionContext.session.kernel.status === 'idle');
        }""",
            timeout=10_000 * PATIENCE,
        )
        errors = page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.content.widgets
            .flatMap((cell) => cell.model.outputs?.toJSON() ?? [])
            .filter((output) => output.output_type === 'error')
            .map((output) => `${output.ename}: ${output.evalue}`)"""
        )
        assert not errors, errors

    def theme(self, page: Page, name: str) -> None:
        """Put on "JupyterLab Light" or "JupyterLab Dark"."""
        page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name
        )
        light = str(name.endswith("Light")).lower()
        # The body itself has no height, which Playwright takes for hidden.
        page.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab, for all tests."""
    with laboratory(tmp_path_factory.mktemp("lab")) as found:
        yield found


@contextmanager
def laboratory(home: Path) -> Iterator[Lab]:
    """Run JupyterLab on a free port; its settings, kernels and notebooks are in a folder."""
    root = home / "notebooks"
    root.mkdir()
    install(prefix=str(home / "kernels"), kernel_name=KERNEL, display_name=KERNEL)
    _settings(home / "settings")
    address = f"http://127.0.0.1:{free_port()}"
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser"),
        *("--IdentityProvider.token=", f"--ServerApp.root_dir={root}"),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={address.rsplit(':', 1)[1]}"),
        *("--ServerApp.port_retries=0", "--LabApp.expose_app_in_browser=True"),
        *("--LabApp.extension_manager=readonly", "--ServerApp.terminals_enabled=False"),
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
    ]
    with served(command, environment(home), f"{address}/api/status", home / "server.log"):
        yield Lab(address, root)


def _settings(folder: Path) -> None:
    """Answer beforehand what JupyterLab would ask at its first start."""
    told = {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        # All cells stay in the page, whether they are in sight or not.
        "notebook-extension/tracker": {"windowingMode": "none"},
        "apputils-extension/themes": {"theme": "JupyterLab Light", "adaptive-theme": False},
    }
    for name, values in told.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
