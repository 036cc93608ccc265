"""Every number of the generator's card: ``python -m lens.zoo.evaluate_generator``."""

from __future__ import annotations

import argparse

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from lens.allocator import keep_freed_memory
from lens.data import glyphs
from lens.zoo import WEIGHTS, discriminator, generator, load, names
from lens.zoo.evaluate import ZeroShot
from lens.zoo.glyph_discriminator import Discriminator
from lens.zoo.glyph_generator import SCENE, Generator, Z, on_backdrop
from lens.zoo.train_generator import Tiles


def evaluate(n: int, seed: int = 0) -> None:
    """Print reconstruction errors, and what others make of ``n`` draws."""
    made, judge, tiles = generator(), discriminator(), Tiles(glyphs())
    for name in ("glyph-generator", "glyph-discriminator"):
        size = (WEIGHTS / f"{name}.safetensors").stat().st_size
        print(f"{name}: {size / 1e6:.2f} MB")
    random = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(tiles), generator=random)[:n]
    wanted, redrawn, errors = reconstructed(made, tiles, rows, random)
    rendering = rows // len(tiles.concepts)
    for i, name in enumerate(tiles.renderings):
        own = errors[rendering == i]
        print(f"mean absolute error of a pixel, {name:<10} {own.mean():.4f}  n={len(own)}")
    print(f"mean absolute error of a pixel, all        {errors.mean():.4f}  n={len(errors)}")
    drawn = sampled(made, n, random)
    concept = rows % len(tiles.concepts)
    for model in names():
        see = ZeroShot(load(model))
        shares = [named_right(see, images, concept) for images in (wanted, redrawn)]
        sure = see.probabilities(lambda i: drawn[list(i)], n).amax(1)
        print(
            f"{model} names tiles right: {shares[0]:.1%} as drawn, {shares[1]:.1%} as generated, "
            f"n={n}"
        )
        print(f"{model} assigns a draw a concept with p > 0.5: {(sure > 0.5).float().mean():.1%}")
    real, fake = logits(judge, wanted), logits(judge, drawn)
    right = 0.5 * ((real > 0).float().mean() + (fake < 0).float().mean())
    print(f"the discriminator tells drawn tiles from draws: {right:.1%}, n={2 * n}")


@torch.no_grad()
def reconstructed(
    made: Generator, tiles: Tiles, rows: Int[Tensor, " n"], random: torch.Generator
) -> tuple[UInt8[np.ndarray, "n h w 3"], UInt8[np.ndarray, "n h w 3"], Float[Tensor, " n"]]:
    """Tiles as drawn and as generated, in the same scenes, and their mean absolute differences."""
    before, after = [], []
    for part in rows.split(64):
        scene = torch.randn(len(part), SCENE, generator=random)
        ink = tiles.inked[part // len(tiles.concepts)][:, None]
        codes = made.mapping.codes.flatten(0, 1)[part]
        before.append(on_backdrop(tiles[part], ink, scene))
        after.append(made.synthesis(torch.cat([codes, ink, scene], 1)))
    wanted, redrawn = torch.cat(before), torch.cat(after)
    return _eight_bit(wanted), _eight_bit(redrawn), (wanted - redrawn).abs().mean((1, 2, 3))


def named_right(
    see: ZeroShot, images: UInt8[np.ndarray, "n h w 3"], concept: Int[Tensor, " n"]
) -> float:
    """Share of the images whose concept is found among all of them."""
    found = see.probabilities(lambda i: images[list(i)], len(images)).argmax(1)
    return float((found == concept).float().mean())


@torch.no_grad()
def sampled(made: Generator, n: int, random: torch.Generator) -> UInt8[np.ndarray, "n h w 3"]:
    """Draws from N(0, I)."""
    z = torch.randn(n, Z, generator=random)
    return _eight_bit(torch.cat([made(part) for part in z.split(64)]))


@torch.no_grad()
def logits(judge: Discriminator, images: UInt8[np.ndarray, "n h w 3"]) -> Float[Tensor, " n"]:
    """The discriminator's scores."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return torch.cat([judge(part) for part in pixels.split(64)])


def _eight_bit(pixels: Float[Tensor, "n 3 h w"]) -> UInt8[np.ndarray, "n h w 3"]:
    return (pixels * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def main(argv: list[str] | None = None) -> None:
    """Entry point of ``python -m lens.zoo.evaluate_generator``."""
    parser = argparse.ArgumentParser(
        prog="python -m lens.zoo.evaluate_generator",
        description="Print every number of the generator's card.",
        epilog="example: python -m lens.zoo.evaluate_generator -n 512",
    )
    parser.add_argument("-n", type=int, default=512, help="tiles, and draws")
    args = parser.parse_args(argv)
    keep_freed_memory()
    evaluate(args.n)


if __name__ == "__main__":
    main()
