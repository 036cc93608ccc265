"""Every view in every host, light and dark: real servers; those not installed are left out."""

from __future__ import annotations

import copy
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from every_view import SETUP, VIEWS
from ipykernel.kernelspec import install
from nbformat.sign import NotebookNotary
from playwright.sync_api import Page, expect
from servers import KERNEL, PATIENCE, environment, free_port, served
from themed import wears

from lens.widgets import export

pytestmark = pytest.mark.browser

# marimo shows the last expression of a cell, and a cell hands on what it returns.
APP = """
import marimo
app = marimo.App()

@app.cell
def _():
{setup}
    return (widgets, lens, facets, model, few, site, table, best, picture)
{shown}
if __name__ == "__main__":
    app.run()
"""
SHOWN = """
@app.cell
def _(widgets, lens, facets, model, few, site, table, best, picture):
    {made}
    return
"""
# The same page without any of our views: what a host does wrong there is the host's.
EMPTY = "'nothing to see'"
EMPTY_APP = f"""
import marimo
app = marimo.App()

@app.cell
def _():
    {EMPTY}
    return

if __name__ == "__main__":
    app.run()
"""


def app() -> str:
    """Write the notebook as marimo has it."""
    setup = "\n".join(f"    {line}" for line in SETUP.splitlines())
    return APP.format(
        setup=setup, shown="".join(SHOWN.format(made=made) for made in VIEWS.values())
    )


def notebook(*cells: str) -> nbformat.NotebookNode:
    """Write cells, or all views, as Jupyter has them."""
    code = cells or (SETUP, *VIEWS.values())
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in code])
    book.metadata.kernelspec = {"name": KERNEL, "display_name": KERNEL, "language": "python"}
    return book


def drawn(page: Page) -> None:
    """Wait for every view to be there, with something in it."""
    for name in VIEWS:
        root = page.locator(f".{name}").first
        expect(root).to_be_visible(timeout=3000 * PATIENCE)
        expect(root.get_by_role("heading").first).to_be_visible()
        # As text, not as pixels: Notebook 7 does not lay out cells that are out of sight.
        assert len(root.text_content() or "") > 60, name


def look(page: Page, name: str) -> None:
    """Keep a screenshot where LENS_SCREENSHOTS names a folder: to be looked at, not compared."""
    if folder := os.environ.get("LENS_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"host-{name}.png", full_page=True)


@dataclass(frozen=True)
class Host:
    """A running server: its own address, and those of its pages."""

    name: str
    own: str
    every: str
    empty: str

    def run(self, page: Page, address: str) -> None:
        """Open a page and let its cells run, where that does not happen by itself."""
        page.goto(address)
        if self.name == "notebook":
            page.wait_for_function(
                "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
                " === 'idle'"
            )
            page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")


@pytest.fixture(params=["notebook", "voila", "marimo"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """A server of notebooks with every view, and with none."""
    name = request.param
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install 'lens-workbench[test]'")
    install(prefix=str(tmp_path / "kernels"), kernel_name=KERNEL, display_name=KERNEL)
    nbformat.write(notebook(), tmp_path / "x.ipynb")
    nbformat.write(notebook(EMPTY), tmp_path / "empty.ipynb")
    (tmp_path / "app.py").write_text(app())
    (tmp_path / "empty.py").write_text(EMPTY_APP)
    (tmp_path / "marimo").mkdir()
    (tmp_path / "marimo" / "marimo.toml").write_text('[display]\ntheme = "system"\n')
    port = free_port()
    own = f"http://127.0.0.1:{port}"
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    command, every, empty = {
        "notebook": (
            [
                *("--no-browser", "--IdentityProvider.token=", f"--ServerApp.root_dir={tmp_path}"),
                *(f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1", *root),
                "--JupyterNotebookApp.expose_app_in_browser=True",
            ],
            f"{own}/notebooks/x.ipynb",
            f"{own}/notebooks/empty.ipynb",
        ),
        "voila": (
            [str(tmp_path), "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"],
            f"{own}/voila/render/x.ipynb",
            f"{own}/voila/render/empty.ipynb",
        ),
        "marimo": (
            [
                *("run", str(tmp_path / "app.py"), str(tmp_path / "empty.py")),
                *("--headless", "--no-token", f"--port={port}"),
            ],
            f"{own}/?file=app.py",
            f"{own}/?file=empty.py",
        ),
    }[name]
    settings = {**environment(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    answers = f"{own}/" if name == "marimo" else f"{own}/api/none"
    with served([sys.executable, "-m", name, *command], settings, answers, tmp_path / "log"):
        yield Host(name, own, every, empty)


def test_every_view_in_light_and_dark_without_an_error_or_a_request_elsewhere(host, watch):
    watched = watch(host.own, color_scheme="light")
    page = watched.page
    host.run(page, host.every)
    if host.name == "voila":  # its pages keep the theme that they are asked for with
        night = watch(host.own, color_scheme="light")
        host.run(night.page, f"{host.every}?theme=dark")
    alone = watch(host.own)
    host.run(alone.page, host.empty)
    expect(alone.page.get_by_text("nothing to see").last).to_be_visible(timeout=3000 * PATIENCE)
    drawn(page)
    wears(page, "light", VIEWS)
    root = page.locator(".lens-attention").first
    expect(root.locator(".boards")).to_have_attribute("aria-busy", "false", timeout=3000 * PATIENCE)
    expect(root.locator(".stage h2")).to_have_text(re.compile("blocks.2"))
    root.locator(".heads tbody tr").first.locator("td").nth(2).click()
    expect(root.locator(".stage h2")).to_have_text("blocks.0, head 1")
    expect(root.locator(".boards")).to_have_attribute("aria-busy", "false")
    look(page, f"{host.name}-light")
    if host.name == "voila":
        drawn(night.page)
        watched.errors += night.errors
        watched.strangers += night.strangers
        page = night.page
    elif host.name == "marimo":  # set to follow the system
        page.emulate_media(color_scheme="dark")
    else:
        page.evaluate(
            "window.jupyterapp.commands.execute('apputils:change-theme',"
            " { theme: 'JupyterLab Dark' })"
        )
    wears(page, "dark", VIEWS)
    look(page, f"{host.name}-dark")
    # What the host itself does, with no view in its page, is the host's.
    assert set(watched.errors) <= set(alone.errors), set(watched.errors) - set(alone.errors)
    assert set(watched.strangers) <= set(alone.strangers)


def test_every_view_in_jupyterlab_light_and_dark(lab, watch):
    watched = watch(lab.address)
    page = watched.page
    lab.run(page, lab.bring(notebook(), "every.ipynb"))
    drawn(page)
    for theme in ("Dark", "Light"):
        lab.theme(page, f"JupyterLab {theme}")
        wears(page, theme.lower(), VIEWS)
        look(page, f"lab-{theme.lower()}")
    watched.clean()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[nbformat.NotebookNode, dict]:
    """Ten views in a notebook, run once with its widgets' state, and what they take home."""
    book = notebook(SETUP, *VIEWS.values(), VIEWS["lens-attention"], VIEWS["lens-heatmap"])
    book.metadata.pop("kernelspec")  # the tests' own Python, without a server's kernels
    views = export._run(book, tmp_path_factory.mktemp("ran"), None)
    return book, views


def test_a_notebook_that_is_opened_again_shows_its_views(ran, lab, watch):
    """Saved with its widgets' state and trusted, nothing has to run."""
    book = copy.deepcopy(ran[0])
    address = lab.bring(book, "again.ipynb")
    NotebookNotary(data_dir=str(lab.root.parent / "data")).sign(book)
    watched = watch(lab.address)
    watched.page.goto(address)
    drawn(watched.page)
    expect(watched.page.locator(".jp-InputPrompt").first).to_have_text(re.compile(r"\[\d+\]"))
    watched.clean()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_in_a_notebook_taken_home(ran, tmp_path, watch, theme):
    book, views = ran
    path = tmp_path / "x.html"
    path.write_text(export.html(book, views, theme=theme), encoding="utf-8")
    watched = watch(path.as_uri(), offline=True)
    watched.page.goto(path.as_uri())
    drawn(watched.page)
    wears(watched.page, theme, VIEWS)
    look(watched.page, f"nbconvert-{theme}")
    watched.clean()


def test_a_notebook_of_ten_views_is_a_small_file(ran):
    book, views = ran
    assert len(views) == 10
    models = [model["state"] for model in book.metadata.widgets[export.STATE]["state"].values()]
    code = [state[name] for state in models for name in ("esm", "css") if name in state]
    loaders = [state["_esm"] + state["_css"] for state in models if "_esm" in state]
    # A module and a style sheet for each kind of view, and what finds them in each of the ten.
    assert len(code) == len(set(code)) == 2 * len(VIEWS) and len(loaders) == 10
    assert sum(len(text.encode()) for text in code + loaders) < 300_000
    assert len(nbformat.writes(book).encode()) < 1_000_000
