"""What the Ray engine costs: two workers beside one process on the same work, as a ratio.

    python benchmarks/cluster.py
    python benchmarks/cluster.py --images 1024 --rounds 1

Both have the same cores: one process computes with two threads, two workers with one each. The
cluster is started beforehand, as one that many runs share, which takes the time printed first; what
a run takes includes its workers' own start, which is timed by a run of two images as well.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lens


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def stream(model: Any, images: Any, store: Path, engine: str, batch: int, block: int) -> Any:
    torch.set_num_threads(1 if engine == "ray" else 2)
    return lens.capture(
        model, images, "image.layer4", store=store, reduce="mean", batch_size=batch,
        block_rows=block, engine=engine, workers=2 if engine == "ray" else None, progress=False,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="glyph-rn")
    parser.add_argument("--images", type=int, default=8_192)
    parser.add_argument("--block", type=int, default=512, help="images a block")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    import ray

    cluster = {"num_cpus": 2, "include_dashboard": False, "log_to_driver": False}
    print(f"a cluster of this machine starts in {seconds(lambda: ray.init(**cluster)):.1f} s")
    model = lens.load(options.model, device="cpu")
    cells = len(lens.data.glyphs().concepts) * len(lens.data.glyphs().renderings)
    stimuli = lens.data.glyphs().stimuli(per_cell=max(2, -(-options.images // cells)))
    images = stimuli.pixels(range(options.images))
    few = images[:2]
    times: dict[str, list[float]] = {"local": [], "ray": []}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        given = (options.batch, options.block)
        start = seconds(lambda: stream(model, few, root / "few", "ray", *given))
        for number in range(options.rounds):
            for engine in times:
                where = root / f"{engine} {number}"
                times[engine].append(seconds(lambda: stream(model, images, where, engine, *given)))  # noqa: B023
        one, two = (lens.store.open(root / f"{engine} 0") for engine in times)
        apart = float(np.abs(one.values_of() - two.values_of()).max())
    local, on_ray = (statistics.median(times[engine]) for engine in times)
    print(f"workers start, load the model and make one small block in {start:.1f} s")
    print(f"{len(images):,} images, {model.name}: one process with two threads {local:.1f} s, "
          f"two workers with one thread each {on_ray:.1f} s, ratio {on_ray / local:.2f}; "
          f"without the workers' start {(on_ray - start) / local:.2f}; "
          f"values apart by {apart:.1g} at most")  # fmt: skip


if __name__ == "__main__":
    main()
