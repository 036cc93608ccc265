"""The views in hosts beside JupyterLab, each a real server; those not installed are left out."""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from every_view import SETUP, VIEWS
from ipykernel.kernelspec import install
from playwright.sync_api import Page, expect
from servers import KERNEL, PATIENCE, environment, free_port, served

from lens.widgets import export_notebook

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


def app() -> str:
    """Write the notebook as marimo has it."""
    setup = "\n".join(f"    {line}" for line in SETUP.splitlines())
    return APP.format(
        setup=setup, shown="".join(SHOWN.format(made=made) for made in VIEWS.values())
    )


def notebook() -> nbformat.NotebookNode:
    """Write the notebook as Jupyter has it."""
    cells = [nbformat.v4.new_code_cell(code) for code in (SETUP, *VIEWS.values())]
    book = nbformat.v4.new_notebook(cells=cells)
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


@pytest.fixture(params=["notebook", "voila", "marimo"])
def host(request, tmp_path):
    """A running server and the address of a page with the explorer."""
    name = request.param
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install 'lens-workbench[test]'")
    install(prefix=str(tmp_path / "kernels"), kernel_name=KERNEL, display_name=KERNEL)
    nbformat.write(notebook(), tmp_path / "x.ipynb")
    (tmp_path / "app.py").write_text(app())
    port = free_port()
    own = f"http://127.0.0.1:{port}"
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    command, page = {
        "notebook": (
            [
                *("--no-browser", "--IdentityProvider.token=", f"--ServerApp.root_dir={tmp_path}"),
                *(f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1", *root),
                "--JupyterNotebookApp.expose_app_in_browser=True",
            ],
            f"{own}/notebooks/x.ipynb",
        ),
        "voila": (
            [str(tmp_path / "x.ipynb"), "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"],
            f"{own}/",
        ),
        "marimo": (
            ["run", str(tmp_path / "app.py"), "--headless", "--no-token", f"--port={port}"],
            f"{own}/",
        ),
    }[name]
    settings = environment(tmp_path)
    answers = f"{own}/" if name == "marimo" else f"{own}/api/none"
    with served([sys.executable, "-m", name, *command], settings, answers, tmp_path / "log"):
        yield name, own, page


def test_every_view_is_drawn_and_asks_the_kernel(host, watch):
    name, own, address = host
    watched = watch(own)
    page = watched.page
    page.goto(address)
    if name == "notebook":
        page.wait_for_function(
            "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
            " === 'idle'"
        )
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    drawn(page)
    root = page.locator(".lens-attention").first
    expect(root.locator(".boards")).to_have_attribute("aria-busy", "false", timeout=3000 * PATIENCE)
    expect(root.locator(".stage h2")).to_have_text(re.compile("blocks.2"))
    root.locator(".heads tbody tr").first.locator("td").nth(2).click()
    expect(root.locator(".stage h2")).to_have_text("blocks.0, head 1")
    expect(root.locator(".boards")).to_have_attribute("aria-busy", "false")
    if folder := os.environ.get("LENS_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"host-{name}.png")
    # What the host itself asks for elsewhere is the host's; ours asks for nothing.
    assert not [problem for problem in watched.errors if "lens" in problem]


def test_every_view_in_jupyterlab_light_and_dark(lab, watch):
    watched = watch(lab.address)
    page = watched.page
    lab.run(page, lab.bring(notebook(), "every.ipynb"))
    drawn(page)
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        lab.theme(page, theme)
        drawn(page)
    watched.clean()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_in_a_notebook_taken_home(tmp_path, watch, theme):
    book = notebook()
    book.metadata.pop("kernelspec")  # the tests' own Python, without a server's kernels
    nbformat.write(book, tmp_path / "x.ipynb")
    path = export_notebook(tmp_path / "x.ipynb", run=True, theme=theme)
    watched = watch(path.as_uri(), offline=True)
    watched.page.goto(path.as_uri())
    drawn(watched.page)
    watched.clean()
