"""The embedding map: bytes, time to the first picture, and frames a second, beside its peers.

    python benchmarks/map.py [--points 10000 100000 1000000] [--peers FOLDER] [--frames 40]

Every view is opened as its users open it: in a cell of a real JupyterLab, in headless Chromium,
which reaches nothing but that server. Points are random. WebGL is drawn in software (SwiftShader)
unless the machine has a graphics card and `--gpu` is given: the rates compare the views, they say
nothing about a reader's own machine.

- code: bytes of script and style that a view brings along.
- sent: bytes that the page received over its websocket until it had drawn, code left out:
  positions and colours for the most part.
- first: seconds from running the cell to points that can be seen.
- fps: frames a second while the wheel zooms in and out, a step a frame; the map draws a part of the
  points while it moves, `moving` says how many, and all of them `rest` seconds after it stopped.

plotly is there anyway. FOLDER holds the other peers where they are to be compared:

    pip install --no-deps --target FOLDER jupyter-scatter embedding-atlas ...
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Error, Page, Route, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
from conftest import FLAGS, Lab, laboratory  # the browser tests' own JupyterLab

SOFTWARE = {"--use-angle=swiftshader", "--enable-unsafe-swiftshader"}
LONGEST = float(os.environ.get("LENS_PATIENCE", "90"))  # seconds until a view is given up
SETUP = """
import sys, warnings
warnings.simplefilter("ignore")
sys.path.append({peers!r})
import numpy as np, pandas as pd
random = np.random.default_rng(0)
groups = random.integers(0, 10, {n})
rows = (random.normal(size=({n}, 2)) + random.normal(size=(10, 2))[groups] * 5).astype(np.float32)
x, y = rows.T
frame = pd.DataFrame(dict(x=x, y=y, group=groups.astype(str)))
{imports}
"""
#: What each view needs, and the cell that shows it.
VIEWS = {
    "lens": (
        """
from lens.projection import Projection
from lens.projection.gathering import Gathered
from lens.projection.methods import pca
from lens.projection.points import Points, columns_of, in_space
n = len(rows)
points = Points(
    rows, [str(i) for i in range(n)], np.full(n, "point"),
    columns_of(groups.astype(str), n, None, "points"), None, np.full(n, -1), [],
)
proj = Projection(Gathered(points, None), pca(rows), in_space(points, "euclidean"), None, 0)
proj._clusters = np.full(n, -1), proj.clusters_of(np.full(n, -1))  # another measurement
""",
        "proj.view()",
    ),
    "plotly": (
        "import plotly.graph_objects as go",
        """
figure = go.FigureWidget(
    go.Scattergl(x=x, y=y, mode="markers", marker=dict(color=groups, size=3))
)
figure.update_layout(width=900, height=600, dragmode="pan")
figure._config = dict(scrollZoom=True)
figure
""",
    ),
    "jupyter-scatter": (
        "import jscatter",
        """
scatter = jscatter.Scatter(data=frame, x="x", y="y", color_by="group", height=600)
scatter.show()
""",
    ),
    "embedding-atlas": (
        "from embedding_atlas.widget import EmbeddingAtlasWidget",
        "EmbeddingAtlasWidget(frame, x='x', y='y', text='group')",
    ),
}
WEIGHED = """
import json
from ipywidgets.widgets.widget import _instances
told = [one.get_state() for one in _instances.values()]
code = [str(state[key]) for state in told for key in ("_esm", "_css", "esm", "css") if key in state]
sizes = [sum(len(text.encode()) for text in code), sum(len(json.dumps(text)) for text in code)]
print(json.dumps(sizes))
"""
# Moves the wheel back and forth over a spot, a step a frame; tells how long each frame took.
WALK = """([frames, x, y]) => new Promise((done) => {
    const times = [];
    let last = performance.now();
    const step = () => {
        const now = performance.now();
        times.push(now - last);
        last = now;
        if (times.length > frames) return done(times.slice(1));
        document.elementFromPoint(x, y).dispatchEvent(new WheelEvent('wheel', {
            deltaY: times.length % 20 < 10 ? -60 : 60, clientX: x, clientY: y, bubbles: true,
            cancelable: true }));
        requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
})"""
PARTS = "document.querySelector('.lens-map .base')?.dataset.points ?? ''"


def run_cell(page: Page) -> None:
    """Run the cell that the cursor is in, and go to the next."""
    page.evaluate("void window.jupyterapp.commands.execute('notebook:run-cell-and-select-next')")


def finished(page: Page, cell: int) -> list[dict[str, Any]]:
    """Wait until a cell has run; give what it put out."""
    found: list[dict[str, Any]] = page.wait_for_function(
        """(i) => {
        const { model } = window.jupyterapp.shell.currentWidget.content.widgets[i];
        const ended = model.executionCount && model.executionState !== 'running';
        return ended && model.outputs.toJSON();
    }""",
        arg=cell,
        timeout=1000 * LONGEST,
        polling=100,
    ).json_value()
    for output in found:
        if output["output_type"] == "error":
            raise RuntimeError(f"{output['ename']}: {output['evalue']}".splitlines()[0])
    return found


def coloured(page: Page, box: dict[str, float]) -> float:
    """Tell what share of a part of the page is neither white nor grey."""
    shot = page.screenshot(clip=box, timeout=1000 * LONGEST)
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
    return float((np.ptp(pixels, axis=2) > 40).mean())


def opened(lab: Lab, page: Page, name: str, n: int, peers: str, frames: int) -> dict[str, Any]:
    """Open one view and measure it."""
    imports, shown = VIEWS[name]
    cells = [SETUP.format(peers=peers, n=n, imports=imports), shown, WEIGHED]
    received: list[int] = []
    heard = lambda frame: received.append(len(frame))  # noqa: E731
    page.on("websocket", lambda socket: socket.on("framereceived", heard))
    page.goto(lab.notebook(f"{name}-{n}.ipynb", cells))
    page.wait_for_function(
        "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
        " === 'idle'",
        timeout=1000 * LONGEST,
    )
    run_cell(page)
    finished(page, 0)
    # Only what the cell shows is looked at: its own code is coloured, too.
    page.add_style_tag(content=".jp-InputArea { display: none !important } ")
    received.clear()
    start = time.perf_counter()
    run_cell(page)
    output = page.locator(".jp-Cell").nth(1).locator(".jp-OutputArea-output").last
    while True:
        box = output.bounding_box() if output.count() else None
        if box and box["height"] > 200 and box["y"] < 700:
            box = {**box, "height": min(box["height"], 890 - box["y"])}
            if coloured(page, box) > 0.01:
                break
        if time.perf_counter() - start > LONGEST:
            finished(page, 1)
            raise TimeoutError(f"no points after {LONGEST} s")
        page.wait_for_timeout(30)
    first = time.perf_counter() - start
    finished(page, 1)  # an error is coloured, too
    canvas = output.locator("canvas").first.bounding_box() or box
    x, y = canvas["x"] + canvas["width"] / 2, canvas["y"] + min(canvas["height"], 600) / 2
    page.wait_for_timeout(1500)
    sent = sum(received)
    page.mouse.move(x, y)
    times = page.evaluate(WALK, [frames, x, y])
    moving, stopped = page.evaluate(PARTS), time.perf_counter()
    while page.evaluate(PARTS) not in ("", str(n)) and time.perf_counter() - stopped < LONGEST:
        page.wait_for_timeout(20)
    rest = time.perf_counter() - stopped
    before = page.screenshot(clip=box, timeout=1000 * LONGEST)
    page.evaluate(WALK, [10, x, y])
    page.wait_for_timeout(1500)
    followed = page.screenshot(clip=box, timeout=1000 * LONGEST) != before
    run_cell(page)
    code, wire = json.loads("".join(one.get("text", "") for one in finished(page, 2)))
    rate = 1000 / statistics.median(times) if followed else float("nan")
    sizes = {"code": code, "sent": sent - wire}
    return {**sizes, "first": first, "rate": rate, "moving": moving, "rest": rest}


def fenced(page: Page, address: str) -> list[str]:
    """Let a page reach one address only; list what else it asks for."""
    strangers: list[str] = []

    def guard(route: Route) -> None:
        if route.request.url.startswith((address, "data:", "blob:")):
            return route.continue_()
        strangers.append(route.request.url)
        return route.abort()

    page.route("**/*", guard)
    return strangers


def row(name: str, n: int, found: dict[str, Any]) -> str:
    sizes = f"{found['code'] / 1e3:9,.0f} {found['sent'] / 1e6:8.2f}"
    told = f"{n:>9,}  {name:<16} {sizes} {found['first']:7.2f} {found['rate']:6.1f}"
    if name == "lens":
        told += f"  {int(found['moving'] or n):,} points moving, all {found['rest']:.1f} s later"
    elif np.isnan(found["rate"]):
        told += "  the wheel does not move it"
    return told


def errors(page: Page) -> list[str]:
    """What the page will have said in its console as errors."""
    said: list[str] = []
    page.on("console", lambda one: one.type == "error" and said.append(one.text))
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--views", nargs="+", choices=list(VIEWS), default=list(VIEWS))
    parser.add_argument("--peers", type=Path, help="a folder with the packages of other peers")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--gpu", action="store_true")
    asked = parser.parse_args()
    chromium = os.environ.get("LENS_CHROMIUM") or shutil.which("chromium")
    flags = [flag for flag in FLAGS if not (asked.gpu and flag in SOFTWARE)]
    how = "the machine's graphics" if asked.gpu else "software rendering"
    home = Path(tempfile.mkdtemp())
    peers = str(asked.peers.resolve()) if asked.peers else ""
    with sync_playwright() as playwright, laboratory(home) as lab:
        print(f"JupyterLab in Chromium, {how}, {asked.frames} frames")
        head = f"{'points':>9}  {'view':<16} {'code kB':>9} {'sent MB':>8}"
        print(f"{head} {'first s':>7} {'fps':>6}")
        for n in asked.points:
            for name in asked.views:
                # A browser each: a view that takes it down is a result, and takes no other along.
                browser = playwright.chromium.launch(executable_path=chromium, args=flags)
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                strangers = fenced(page, lab.address)
                said = errors(page)
                try:
                    print(row(name, n, opened(lab, page, name, n, peers, asked.frames)), flush=True)
                except (Error, RuntimeError, TimeoutError, ValueError) as problem:
                    why = str(problem).splitlines()[0][:90]
                    wanted = f"; it asked for {strangers[0][:60]}" if strangers else ""
                    wanted += f"; its page said: {said[0][:90]}" if said else ""
                    print(f"{n:>9,}  {name:<16} not shown: {why}{wanted}", flush=True)
                finally:
                    browser.close()
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
