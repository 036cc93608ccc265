"""What stopping early saves: the share of a forward pass that capturing an early site takes.

    python benchmarks/early_stop.py

The share of the work that lies before the site is counted in multiplications and additions, by
torch's own counter; the time should not be far from it.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

import lens
from lens.capture.hooks import forward_to, record
from lens.sites import Site

CASES = (("RN50", "image.layer2"), ("ViT-B-32", "image.blocks.2"), ("ViT-B-16", "image.blocks.2"))


def work(place: Site, batch: torch.Tensor, stop: bool) -> int:
    with FlopCounterMode(display=False) as counter, record([place], stop=stop) as taps:
        taps.forward(batch)
    return counter.get_total_flops()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    print("| model | captured | share of the time | share of the work |")
    print("|---|---|---|---|")
    for name, site in CASES:
        model = lens.load(name, pretrained=None, device="cpu")
        batch = torch.randn(options.batch, 3, *model.image_size)
        place = model.site(site)
        # Torch's native attention is not counted, and it does not run where gradients are kept.
        share = work(place, batch, True) / work(place, batch, False)
        full, part = [], []
        with torch.no_grad():
            for _ in range(options.rounds + 1):
                start = time.perf_counter()
                model.run("image", batch)
                middle = time.perf_counter()
                forward_to(place, batch)
                full.append(middle - start)
                part.append(time.perf_counter() - middle)
        spent = statistics.median(part[1:]) / statistics.median(full[1:])  # the first warms up
        print(f"| {name} | {site} | {spent:.2f} | {share:.2f} |")


if __name__ == "__main__":
    main()
