"""The views in hosts beside JupyterLab, each a real server; those not installed are left out."""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from ipykernel.kernelspec import install
from playwright.sync_api import expect
from servers import KERNEL, PATIENCE, environment, free_port, served

pytestmark = pytest.mark.browser

CODE = """
import open_clip, torch, lens
torch.manual_seed(0)
clip = open_clip.CLIP(
    embed_dim=32,
    vision_cfg=dict(layers=3, width=64, head_width=16, image_size=64, patch_size=8),
    text_cfg=dict(context_length=16, vocab_size=49408, width=32, heads=2, layers=1),
).eval()
model = lens.wrap(clip, name="tiny-vit")
explorer = lens.attention(model, torch.randn(1, 3, 64, 64)).explore()
"""
APP = """
import marimo
app = marimo.App()

@app.cell
def _():
{code}
    return (explorer,)

@app.cell
def _(explorer):
    explorer
    return

if __name__ == "__main__":
    app.run()
"""


@pytest.fixture(params=["notebook", "voila", "marimo"])
def host(request, tmp_path):
    """A running server and the address of a page with the explorer."""
    name = request.param
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install 'lens-workbench[hosts]'")
    install(prefix=str(tmp_path / "kernels"), kernel_name=KERNEL, display_name=KERNEL)
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(CODE), nbformat.v4.new_code_cell("explorer")]
    )
    book.metadata.kernelspec = {"name": KERNEL, "display_name": KERNEL, "language": "python"}
    nbformat.write(book, tmp_path / "x.ipynb")
    indented = "\n".join(f"    {line}" for line in CODE.splitlines())
    (tmp_path / "app.py").write_text(APP.format(code=indented))
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


def test_the_explorer_asks_the_kernel(host, watch):
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
