"""The embedding map: bytes, time to the first picture, and frames a second, beside its peers.

    python benchmarks/map.py [--points 10000 100000 1000000] [--peers FOLDER] [--frames 40]

Points are random; every view is written as one HTML file and opened in headless Chromium, so what
is counted is what a reader waits for. WebGL is drawn in software (SwiftShader) unless the machine
has a graphics card and `--gpu` is given: the rates compare the views, they say nothing about a
reader's own machine. plotly is there anyway; jupyter-scatter is compared by the size of its code
where FOLDER holds it (`pip install --no-deps --target FOLDER jupyter-scatter`): its own export asks
a CDN for its widget manager, so it draws nothing without a network.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from playwright.sync_api import Page, sync_playwright

from lens.projection import Projection
from lens.projection.gathering import Gathered
from lens.projection.methods import pca
from lens.projection.points import Points, columns_of, in_space
from lens.widgets.map import EmbeddingMap
from lens.widgets.map.view import STATE

FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
SOFTWARE = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
# Moves the pointer's wheel back and forth, a step a frame, and tells how long each frame took.
WALK = """(frames) => new Promise((done) => {
    const canvas = document.querySelector('.lens-map .over, .nsewdrag');
    const edge = canvas.getBoundingClientRect(), times = [];
    let last = performance.now();
    const step = () => {
        const now = performance.now();
        times.push(now - last);
        last = now;
        if (times.length > frames) return done(times.slice(1));
        canvas.dispatchEvent(new WheelEvent('wheel', { deltaY: times.length % 20 < 10 ? -60 : 60,
            clientX: edge.x + edge.width / 2, clientY: edge.y + edge.height / 2,
            bubbles: true, cancelable: true }));
        requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
})"""
# Any canvas of the page that has more than one colour.
DRAWN = """() => [...document.querySelectorAll('.lens-map .base, .js-plotly-plot canvas')]
    .some((canvas) => {
        if (!canvas.width) return false;
        const copy = document.createElement('canvas');
        Object.assign(copy, { width: 64, height: 64 });
        const pen = copy.getContext('2d');
        pen.drawImage(canvas, 0, 0, 64, 64);
        return new Set(new Uint32Array(pen.getImageData(0, 0, 64, 64).data.buffer)).size > 3;
    })"""


def projected(n: int) -> Projection:
    """Random points in ten groups, placed as they are."""
    random = np.random.default_rng(0)
    groups = random.integers(0, 10, n)
    rows = (random.normal(size=(n, 2)) + random.normal(size=(10, 2))[groups] * 5).astype(np.float32)
    points = Points(
        rows,
        [str(i) for i in range(n)],
        np.full(n, "point"),
        columns_of(groups.astype(str), n, None, "points"),
        None,
        np.full(n, -1),
        [],
    )
    proj = Projection(Gathered(points, None), pca(rows), in_space(points, "euclidean"), None, 0)
    none = np.full(n, -1)  # clusters are another measurement
    proj._clusters = none, proj.clusters_of(none)
    return proj


def state_of(view: EmbeddingMap) -> int:
    """Bytes of state that a front end is sent, the module's code left out."""

    def size(value: Any) -> int:
        if isinstance(value, bytes):
            return len(value)
        if isinstance(value, dict):
            return sum(len(str(key)) + size(inner) for key, inner in value.items())
        return sum(map(size, value)) if isinstance(value, list) else len(str(value))

    return sum(size(getattr(view, name)) for name in STATE)


def opened(page: Page, path: Path, frames: int) -> tuple[float, float]:
    """Give seconds until something is drawn, and frames a second while zooming."""
    page.goto("about:blank")
    start = page.evaluate("performance.timeOrigin + performance.now()")
    page.goto(path.as_uri(), wait_until="commit")
    page.wait_for_function(DRAWN, timeout=300_000, polling=20)
    seen = page.evaluate("performance.timeOrigin + performance.now()")
    page.wait_for_timeout(500)
    times = page.evaluate(WALK, frames)
    return (seen - start) / 1000, 1000 / statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--gpu", action="store_true")
    asked = parser.parse_args()
    code = len(str(EmbeddingMap._esm).encode()), len(str(EmbeddingMap._css).encode())
    print(f"code of the map: {code[0]:,} bytes of script, {code[1]:,} of style")
    for peer in asked.peers.glob("jscatter/bundle.js") if asked.peers else ():
        print(f"code of jupyter-scatter: {peer.stat().st_size:,} bytes of script")
    chromium = os.environ.get("LENS_CHROMIUM") or shutil.which("chromium")
    folder = Path(tempfile.mkdtemp())
    with sync_playwright() as playwright:
        flags = FLAGS + ([] if asked.gpu else SOFTWARE)
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        how = "the machine's graphics" if asked.gpu else "software rendering"
        print(
            f"{'points':>9}  {'view':<8} {'state MB':>8} {'file MB':>8} {'first s':>8}  fps ({how})"
        )
        for n in asked.points:
            proj = projected(n)
            view = proj.view()
            own = view.save(folder / "map.html")
            x, y = proj.coordinates.T
            codes = proj.colour().codes
            marks = {"color": codes, "size": 3}
            figure = go.Figure(go.Scattergl(x=x, y=y, mode="markers", marker=marks))
            figure.update_layout(width=960, height=666, dragmode="pan")
            other = folder / "plotly.html"
            figure.write_html(other, include_plotlyjs=True, config={"scrollZoom": True})
            sent = len(figure.to_json())
            for name, path, state in (("map", own, state_of(view)), ("plotly", other, sent)):
                try:
                    first, rate = opened(page, path, asked.frames)
                    told = f"{first:8.2f}  {rate:.1f}"
                except Exception as problem:  # a peer that gives up is a result, too
                    told = f"failed: {str(problem).splitlines()[0][:60]}"
                sizes = f"{state / 1e6:8.2f} {path.stat().st_size / 1e6:8.2f}"
                print(f"{n:>9,}  {name:<8} {sizes} {told}", flush=True)
        browser.close()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
