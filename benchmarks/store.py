"""What streaming to a store costs, in time, memory and disk.

    python benchmarks/store.py
    python benchmarks/store.py --images 512 --rounds 1 --large RN50

Images per second to disk against the bare model on the same images (drawn, prepared and run by a
plain loop), in turns; peak memory of a process that streams few and many images; bytes read for the
100 best images of one unit against the store's size; and what a million images of a large model's
last stage take in each reduction, extrapolated.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import lens
from lens.data import glyphs
from lens.store.writing import size

SITE = "image.layer4"
REDUCTIONS: tuple[tuple[str | None, str | None], ...] = (
    ("mean", None), ("mean", "uint8"), ("max", None), ("top8", None), (None, "uint8"), (None, None),
)  # fmt: skip


def stimuli(count: int) -> Any:
    whole = glyphs()
    cells = len(whole.concepts) * len(whole.renderings)
    return Part(whole.stimuli(per_cell=max(2, -(-count // cells))), count)


class Part(torch.utils.data.Dataset):
    """The first stimuli, as a data set of pictures."""

    def __init__(self, whole: Any, count: int) -> None:
        self._pixels = whole.pixels(range(count))
        self.key = f"{whole.key} {count}"

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, row: int) -> Any:
        return self._pixels[row]


def bare(model: lens.model.Model, images: Any, batch: int) -> None:
    with torch.no_grad():
        for start in range(0, len(images), batch):
            rows = range(start, min(start + batch, len(images)))
            model.run("image", torch.stack([model.picture(images[row]) for row in rows]))


def stream(model: lens.model.Model, images: Any, store: Path, batch: int, **options: Any) -> Any:
    given = {"reduce": "mean", "progress": False, **options}
    return lens.capture(model, images, SITE, store=store, batch_size=batch, **given)


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_memory(count: int, options: argparse.Namespace) -> int:
    """Bytes that a process of its own had at most while it streamed so many images."""
    command = [sys.executable, __file__, "--child", str(count), "--batch", str(options.batch)]
    command += ["--model", options.model]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


class Drawn(torch.utils.data.Dataset):
    """Pictures that are made when asked for, so that the data set itself takes no memory."""

    def __init__(self, count: int, height: int, width: int) -> None:
        self.count, self.shape, self.key = count, (height, width, 3), f"drawn {count}"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> Any:
        made = torch.Generator().manual_seed(row)
        return torch.randint(0, 255, self.shape, generator=made, dtype=torch.uint8).numpy()


def child(options: argparse.Namespace) -> None:
    model = lens.load(options.model, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        images = Drawn(options.child, *model.image_size)
        stream(model, images, Path(folder) / "x", options.batch)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def extrapolated(options: argparse.Namespace) -> None:
    """Disk is exact arithmetic; time is that of a few images, times a million."""
    model = lens.load(options.large, pretrained=None, device="cpu")
    images = Drawn(options.few, *model.image_size)
    print(f"\n| {options.large} {SITE}, 1,000,000 images | disk | time on this machine |")
    print("|---|---|---|")
    for reduce, quantize in REDUCTIONS:
        with tempfile.TemporaryDirectory() as folder:
            given = {"reduce": reduce, "quantize": quantize}
            part = seconds(lambda: stream(model, images, Path(folder) / "x", 16, **given))  # noqa: B023
            each = lens.store.open(Path(folder) / "x")[SITE]._layout.bytes_per_block / options.few
        hours = part / options.few * 1e6 / 3600
        name = f"{reduce or 'full'}{', uint8' if quantize else ''}"
        print(f"| {name} | {size(round(each * 1e6))} | {hours:,.0f} hours |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="glyph-rn")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--few-images", type=int, default=1_000, help="for the peak of memory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--large", default="RN50x4", help="the model that is extrapolated")
    parser.add_argument("--few", type=int, default=32, help="images that it is run on")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    model = lens.load(options.model, device="cpu")
    images = stimuli(options.images)
    plain, streamed = [], []
    bare(model, Part(glyphs().stimuli(2), options.batch), options.batch)  # warms up
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            store = Path(folder) / str(number)
            plain.append(seconds(lambda: bare(model, images, options.batch)))
            streamed.append(seconds(lambda: stream(model, images, store, options.batch)))  # noqa: B023
        ratios = [a / b for a, b in zip(plain, streamed, strict=True)]
        speed = [len(images) / statistics.median(times) for times in (plain, streamed)]
        print(f"{len(images):,} images, {model.name}, {os.cpu_count()} cores, median of rounds:")
        print(f"bare model {speed[0]:.1f} images/s, to disk {speed[1]:.1f} images/s, "
              f"ratio {statistics.median(ratios):.2f}")  # fmt: skip
        last = lens.store.open(store)
        whole, before = on_disk(store), bytes_read()
        last.values_of_unit(17)
        values, before_top = bytes_read() - before, bytes_read()
        last.top(17, 100)
        print(f"one unit's values: {size(values)} read; its top 100 with their names: "
              f"{size(bytes_read() - before_top)}; the store: {size(whole)} "
              f"({values / whole:.2%} and {(bytes_read() - before_top) / whole:.2%})")  # fmt: skip
    few, many = (peak_memory(count, options) for count in (options.few_images, options.images))
    height, width = model.image_size
    batches = (many - few) / (options.batch * 3 * height * width * 4)
    print(f"peak memory: {size(few)} at {options.few_images:,} images, {size(many)} at "
          f"{options.images:,}: {batches:+.1f} batches")  # fmt: skip
    extrapolated(options)


if __name__ == "__main__":
    main()
