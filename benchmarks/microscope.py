"""The whole web site of a stage, killed twice on the way: time, bytes, links, first paint.

    python benchmarks/microscope.py                      # every unit of glyph-rn's last stage
    python benchmarks/microscope.py --units 128 --steps 32

The build runs in a process of its own (which starts those that draw). It is killed (SIGKILL) when a
third and two thirds of the visualizations are there, and then goes on to its end. The exit status
is 1 if a link leads nowhere, or a page that Chromium opens complains or asks for something outside.
First paint is Chromium's own measure, of pages opened from the disk without a network.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from lens.microscope.result import Microscope, read

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
PAINT = """() => new Promise((done) => new PerformanceObserver((list) => {
    const entry = list.getEntriesByName('first-contentful-paint')[0];
    if (entry) done(entry.startTime);
}).observe({ type: 'paint', buffered: true }))"""


class Links(HTMLParser):
    """The addresses on a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.found += [given[key] for key in ("href", "src") if given.get(key)]
        self.found += re.findall(r"url\(([^)]*)\)", given.get("style") or "")


def build(folder: Path, asked: argparse.Namespace) -> subprocess.Popen:
    chosen = [] if asked.units is None else ["--units", f"0-{asked.units - 1}"]
    chosen += [] if asked.workers is None else ["--workers", str(asked.workers)]
    command = [sys.executable, "-m", "lens.cli", "microscope", "glyph-rn", "--out", str(folder),
               "--site", "image.layer4", "--steps", str(asked.steps), *chosen]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def drawn(folder: Path) -> int:
    return sum(path.stem.isdecimal() for path in folder.glob("0/vis/*.webp"))


def crawl(folder: Path) -> tuple[int, list[str]]:
    """Follow every link of every page; how many there are, and those that lead nowhere."""
    count, lost = 0, []
    for page in folder.rglob("*.html"):
        for address in Links(page).found:
            file = unquote(address).partition("#")[0]
            count += 1
            if file and not (page.parent / file).is_file():
                lost.append(f"{page.relative_to(folder)}: {address}")
    return count, lost


@contextmanager
def chromium_offline() -> Iterator[Callable[[], Any]]:
    """A browser without a network; each call opens a page in a context of its own."""
    import chromium
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.find(), args=["--no-sandbox", "--disable-gpu"]
        )
        yield lambda: browser.new_context(
            offline=True, viewport={"width": 1400, "height": 900}
        ).new_page()
        browser.close()


def browsed(folder: Path) -> tuple[int, list[str]]:
    """Open every page from the disk; how many there are, and what was wrong.

    Wrong is what the page says on its console, what it throws, and any request that is not for a
    file of the site, or for one that isn't there.
    """
    wrong: list[str] = []
    pages = sorted(folder.rglob("*.html"))
    inside = folder.resolve().as_uri()
    with chromium_offline() as open_page:
        page = open_page()
        page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("requestfailed", lambda asked: wrong.append(f"failed: {asked.url}"))
        page.on(
            "request",
            lambda asked: (
                asked.url.startswith((inside, "data:", "blob:"))
                or wrong.append(f"outside: {asked.url}")
            ),
        )
        for path in pages:
            page.goto(path.resolve().as_uri(), wait_until="load")
        page.context.close()
    return len(pages), wrong


def first_paints(folder: Path, pages: list[str]) -> dict[str, float]:
    """Milliseconds to the first contentful paint, the median of five openings each."""
    found = {}
    with chromium_offline() as open_page:
        for name in pages:
            times = []
            for _ in range(5):
                page = open_page()
                page.goto(f"{folder.resolve().as_uri()}/{name}")
                times.append(page.evaluate(PAINT))
                page.context.close()
            found[name] = float(np.median(times))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, help="default: all")
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--workers", type=int, help="processes that draw; default: as many as help")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--kills", type=int, default=2)
    chosen = parser.parse_args()
    total = chosen.units or 1024
    folder = chosen.out or Path(tempfile.mkdtemp()) / "site"

    began, kills = time.perf_counter(), 0
    for turn in range(chosen.kills):
        child = build(folder, chosen)
        while child.poll() is None and drawn(folder) < total * (turn + 1) / (chosen.kills + 1):
            time.sleep(0.05)
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            kills += 1
        child.wait()
        print(
            f"{time.perf_counter() - began:6.0f} s  killed with {drawn(folder)} drawn", flush=True
        )
    child = build(folder, chosen)
    if child.wait() != 0:
        print("the build failed")
        return 1
    took = time.perf_counter() - began
    again = time.perf_counter()
    build(folder, chosen).wait()
    again = time.perf_counter() - again

    site = Microscope(folder, read(folder))
    pictures = len(list(folder.glob("0/vis/*.webp")))
    sizes = [page.stat().st_size for page in folder.glob("0/unit/*.html")]
    links, lost = crawl(folder)
    print(f"{site!r}")
    print(f"{pictures:,} pictures, {pictures - drawn(folder):,} of them facets and second pictures")
    for sentence in site.left_out:
        print(f"left out: {sentence}")
    print(f"built in {took:.0f} s with {kills} kills; the same command again: {again:.1f} s")
    page, index = folder / "0" / "site.html", folder / "search.js"
    print(f"{site.bytes / 1e6:.1f} MB in all, {site.bytes / total / 1e3:.1f} kB a unit")
    print(f"a unit's page: {np.mean(sizes) / 1e3:.1f} kB, {max(sizes) / 1e3:.1f} kB at most")
    print(f"site.html {page.stat().st_size / 1e3:.0f} kB, search.js "
          f"{index.stat().st_size / 1e3:.0f} kB")  # fmt: skip
    print(f"files: {sum(p.is_file() for p in folder.rglob('*')):,}")
    print(f"links crawled: {links:,}, of which {len(lost)} lead nowhere")
    for address in lost[:10]:
        print(f"  {address}")
    opened, wrong = browsed(folder)
    print(f"opened in Chromium, without a network: {opened:,} pages, {len(wrong)} errors or "
          f"requests outside")  # fmt: skip
    for problem in wrong[:10]:
        print(f"  {problem}")
    for name, paint in first_paints(
        folder, ["index.html", "0/site.html", "0/unit/17.html", "search.html#q=dog",
                 "compare.html#layer4/17,layer4/3"],
    ).items():  # fmt: skip
        print(f"first paint {paint:6.0f} ms  {name}")
    return 1 if lost or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
