"""What looking costs: time over a plain forward pass, as ratios from one run.

    python benchmarks/overhead.py            lens alone
    python benchmarks/overhead.py --peers    beside nnsight and ViT-Prisma, which must be installed

Each round runs every contender once, in turn, so that whatever else the machine does falls on all
alike; a ratio is that of the medians over the rounds. The models have their full architecture and
random weights, which costs the same as any others. ViT-Prisma builds a transformer of its own,
without fused attention: its looking is measured against its own plain forward, which has a row.
TransformerLens opens no image tower, and nnsight sees no attention inside of torch's own kernels.

Memory that is freed is kept, as in our other processes (see ``lens.allocator``): by default glibc
gives every large tensor back and asks for it again, and whoever keeps tensors pays for that.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

import lens
from lens.allocator import keep_freed_memory
from lens.capture.hooks import record
from lens.model import Model

Run = Callable[[], object]


def plain(model: Model, batch: torch.Tensor) -> Run:
    return lambda: model.module.encode_image(batch)


def looking(model: Model, batch: torch.Tensor, sites: str) -> Run:
    chosen = model.sites(sites)

    def run() -> object:
        with record(chosen, stop=False) as taps:
            return taps.forward(batch)

    return run


def hooked(model: Model, batch: torch.Tensor, sites: str) -> Run:
    """The least that looking can cost: bare hooks that copy what they see."""
    modules = [site.module for site in model.sites(sites)]

    def run() -> object:
        seen = []
        handles = [
            m.register_forward_hook(lambda m, a, output: seen.append(output.clone()))
            for m in modules
        ]
        model.module.encode_image(batch)
        for handle in handles:
            handle.remove()
        return seen

    return run


def nnsight(model: Model, batch: torch.Tensor, sites: str) -> Run:
    from nnsight import NNsight, save

    tower = NNsight(model.module.visual)
    paths = [site.path.removeprefix("visual.") for site in model.sites(sites)]

    def envoy(path: str) -> object:
        found = tower
        for key in path.split("."):
            found = found[int(key)] if key.isdigit() else getattr(found, key)
        return found

    modules = [envoy(path) for path in paths]

    def run() -> object:
        with tower.trace(batch):
            saved = save([module.output for module in modules])
        return saved  # noqa: RET504 - nnsight compiles the block by itself

    return run


def prisma() -> tuple[Callable[[torch.Tensor], Run], Callable[[torch.Tensor, str], Run]]:
    """ViT-Prisma builds its own transformer of the same size, and is measured against itself."""
    from vit_prisma.configs.HookedViTConfig import HookedViTConfig
    from vit_prisma.models.base_vit import HookedViT

    tower = HookedViT(
        HookedViTConfig(
            n_layers=12, d_model=768, d_head=64, d_mlp=3072, n_heads=12, image_size=224,
            patch_size=32, n_classes=512, activation_name="gelu", layer_norm_pre=True,
        )
    ).eval()  # fmt: skip

    def looking(batch: torch.Tensor, hook: str) -> Run:
        return lambda: tower.run_with_cache(batch, names_filter=lambda name: name.endswith(hook))

    return lambda batch: lambda: tower(batch), looking


def medians(contenders: dict[str, Run], rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if number:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peers", action="store_true", help="beside what else is installed")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 32])
    options = parser.parse_args()
    keep_freed_memory()

    print("| model | batch | plain, ms | looked at | by | times plain |")
    print("|---|---|---|---|---|---|")
    for name, blocks, patterns in (
        ("ViT-B-32", "image.blocks.*", "image.*.pattern"),
        ("RN50", "image.layer*", "image.attnpool.pattern"),
    ):
        model = lens.load(name, pretrained=None, device="cpu")
        chosen = [site.name for site in model.sites(blocks) if site.kind == "block"]
        for size in options.batches:
            batch = torch.randn(size, 3, *model.image_size)
            contenders = {
                ("", "plain"): plain(model, batch),
                ("block outputs", "lens"): looking(model, batch, chosen),
                ("block outputs", "bare hooks"): hooked(model, batch, chosen),
                ("attention patterns", "lens"): looking(model, batch, patterns),
            }
            if options.peers:
                contenders["block outputs", "nnsight"] = nnsight(model, batch, chosen)
            if options.peers and name == "ViT-B-32":
                bare, looked = prisma()
                contenders["", "ViT-Prisma"] = bare(batch)
                contenders["block outputs", "ViT-Prisma"] = looked(batch, "hook_resid_post")
                contenders["attention patterns", "ViT-Prisma"] = looked(batch, "hook_pattern")
            with torch.no_grad():
                taken = medians(contenders, max(5, options.rounds * 4 // size))
            base = taken["", "plain"]
            for (what, who), time_ in taken.items():
                if who == "plain":
                    continue
                ratio = time_ / (taken.get(("", who), base) if what else base)
                seen = what or "nothing: its own forward"
                print(f"| {name} | {size} | {1e3 * base:.0f} | {seen} | {who} | {ratio:.3f} |")


if __name__ == "__main__":
    main()
