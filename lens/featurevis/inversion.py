"""What a layer keeps of an image: images made from its activations alone, depth by depth.

An image is changed until the site's activations are those of the original. What comes back is what
the site still knows; what comes back differently is what it has let go.

References
----------
Mahendran, Vedaldi, "Understanding Deep Image Representations by Inverting Them", CVPR 2015
(equations 1 to 4: the squared distance over the squared norm, and total variation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from lens.capture.hooks import forward_to
from lens.errors import BadInput
from lens.featurevis import captioned, optimize
from lens.featurevis.likeness import pixel_correlation, ssim
from lens.featurevis.parameterization import Fourier, Parameterization
from lens.model import Model
from lens.pictures import open_picture, resized
from lens.sites import Site, by_position

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Inversions:
    """Images made from the activations that one image has at some sites.

    Attributes
    ----------
    original
        The image as the model sees it, eight-bit RGB.
    images
        One a site, eight-bit RGB.
    sites
        Where the activations were taken.
    errors, start_errors
        Squared distance of the activations over the squared norm of the original's: of ``images``
        as they stand, and of the noise that the run started from. 0 is a perfect match, 1 is what
        no activation at all would have.
    similarity
        Cosine of the model's embeddings of the image and the original; NaN for a model that has
        no joint space.
    correlation, ssim
        Pearson's r of the pixels, and structural similarity (Wang et al. 2004).
    curve
        The errors step by step.
    """

    model: str
    original: UInt8[np.ndarray, "h w 3"]
    images: UInt8[np.ndarray, "sites h w 3"]
    sites: list[Site]
    errors: Float[np.ndarray, " sites"]
    start_errors: Float[np.ndarray, " sites"]
    similarity: Float[np.ndarray, " sites"]
    correlation: Float[np.ndarray, " sites"]
    ssim: Float[np.ndarray, " sites"]
    curve: Float[np.ndarray, "sites steps"]

    @property
    def table(self) -> pd.DataFrame:
        """One row a site."""
        import pandas as pd

        columns = ("errors", "start_errors", "similarity", "correlation", "ssim")
        names = ("error", "start_error", "similarity", "correlation", "ssim")
        rows = {name: getattr(self, column) for name, column in zip(names, columns, strict=True)}
        return pd.DataFrame({"site": [site.name for site in self.sites], **rows})

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.images[index])

    def sheet(self, columns: int = 8) -> Image.Image:
        """The original and the images after it, each with its site and error below."""
        notes = [
            [site.name.removeprefix("image."), f"error {error:.2g}"]
            for site, error in zip(self.sites, self.errors, strict=True)
        ]
        return captioned.grid([self.original, *self.images], [["original"], *notes], columns)

    def _repr_png_(self) -> bytes:
        return captioned.png(self.sheet())

    def _repr_html_(self) -> str:
        table = self.table.to_html(index=False, float_format="{:.3f}".format, border=0)
        return captioned.figure(self.sheet(), repr(self), table)

    def __repr__(self) -> str:
        return (
            f"Inversions of {self.model}: {len(self)} site{'s' if len(self) != 1 else ''} after "
            f"{self.curve.shape[1]} steps, errors {self.errors.min():.2g} to "
            f"{self.errors.max():.2g}"
        )


def invert(
    model: Model,
    image: Any,
    sites: Site | str | Sequence[Site | str],
    *,
    steps: int = 256,
    total_variation: float = 0.05,
    seed: int = 0,
    lr: float | None = None,
    parameterization: Parameterization | None = None,
    progress: bool = True,
) -> Inversions:
    """Make an image from the activations that ``image`` has at each site, all sites in one batch.

    Parameters
    ----------
    model
        Its image tower is looked into.
    image
        A picture: PIL, an array, a path.
    sites
        Image sites or their names; a glob matches several ("image.layer?").
    steps
        Optimization steps.
    total_variation
        Weight of the mean squared step between neighbouring pixels, counted in the image's own
        contrast. 0 inverts without a prior but the parameterization's.
    seed
        Decides the noise that all sites start from.
    lr
        Learning rate; the parameterization's own by default.
    parameterization
        Where images come from; ``Fourier()`` by default.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Inversions
        Images, errors, and how like the original they are. After ctrl-C, as far as they got.

    Raises
    ------
    BadInput
        For no sites, sites of another tower or model, or numbers that can't be.
    """
    chosen = _sites(model, sites)
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise BadInput(f"steps is a whole number, at least 1, not {steps!r}.")
    if not 0 <= total_variation < float("inf"):
        raise BadInput(f"total_variation is a weight of 0 or more, not {total_variation!r}.")
    source = parameterization or Fourier()
    size = (int(model.image_size[0]), int(model.image_size[1]))
    wanted = _pixels(image, size).to(model.device)

    with optimize.undisturbed(model.module):
        with torch.no_grad():
            targets = _activations(model, chosen, wanted)
        contrast = wanted.var().clamp(min=1e-4)
        streams = [optimize.generator(seed, 0, 0) for _ in chosen]
        z = source.start(size, streams).to(model.device)
        start_errors = _final(model, chosen, targets, source.pixels(z, size))[1]
        average = optimize.Average(z, source.averaging)
        z.requires_grad_(True)
        optimizer = source.optimizer(z, source.lr if lr is None else float(lr))
        curve: list[Tensor] = []
        try:
            for _ in tqdm(range(steps), desc="invert", unit="step", disable=not progress):
                pixels = source.pixels(z, size)
                errors = _errors(model, chosen, targets, pixels)
                loss = errors + total_variation * _roughness(pixels) / contrast
                optimizer.zero_grad(set_to_none=True)
                loss.sum().backward()
                optimizer.step()
                average.take(z)
                curve.append(errors.detach())
        except KeyboardInterrupt:
            if not curve:
                raise
        images, errors = _final(model, chosen, targets, source.pixels(average.of(z), size))
    made = images.float() / 255
    whole = wanted.expand_as(made)
    return Inversions(
        model.name,
        _as_array((wanted * 255).round().to(torch.uint8))[0],
        _as_array(images),
        chosen,
        errors.cpu().numpy(),
        start_errors.cpu().numpy(),
        _cosine(model, _as_array((wanted * 255).round().to(torch.uint8)), _as_array(images)),
        pixel_correlation(made, whole).cpu().numpy(),
        ssim(made, whole).cpu().numpy(),
        torch.stack(curve, 1).cpu().numpy(),
    )


def _sites(model: Model, given: Site | str | Sequence[Site | str]) -> list[Site]:
    listed = [given] if isinstance(given, (Site, str)) else list(given)
    found: list[Site] = []
    for one in listed:
        if isinstance(one, str):
            # A glob matches many sites, a name is one (and a wrong name gets the nearest).
            found += model.sites(one) if any(c in one for c in "*?[") else [model.site(one)]
        else:
            found.append(one)
    for site in found:
        if not isinstance(site, Site):
            raise BadInput(f"invert takes sites or their names, not {type(site).__name__}.")
        if site.model is not model:
            raise BadInput(f"{site.name} is a site of {site.model.name}, not of {model.name}.")
        if site.tower != "image":
            raise BadInput(
                f"{site.name} is in the {site.tower} tower and sees no image; "
                "'image.layer1' would be one to invert."
            )
    if not found:
        raise BadInput(f"no site of {model.name} matches {given!r}; model.sites lists them.")
    return found


def _pixels(image: Any, size: tuple[int, int]) -> Float[Tensor, "1 3 h w"]:
    picture = np.asarray(resized(open_picture(image), size), dtype=np.float32) / 255
    return torch.from_numpy(picture).permute(2, 0, 1)[None]


def _activations(model: Model, sites: Sequence[Site], pixels: Tensor) -> list[Tensor]:
    """What each site makes of the images, as (images, positions, units), in float32."""
    coloured = pixels if len(model.mean) == 3 else pixels.mean(1, keepdim=True)
    found = forward_to(list(dict.fromkeys(sites)), model.normalize(coloured), detach=False)
    return [by_position(site, found[site.name]).float() for site in sites]


def _errors(
    model: Model, sites: Sequence[Site], targets: Sequence[Tensor], pixels: Tensor
) -> Float[Tensor, " sites"]:
    """Image i against the target of site i: ||a - b||^2 / ||b||^2."""
    found = _activations(model, sites, pixels)
    parts = [
        (own[i] - target[0]).square().sum() / target.square().sum().clamp(min=1e-12)
        for i, (own, target) in enumerate(zip(found, targets, strict=True))
    ]
    return torch.stack(parts)


def _roughness(pixels: Float[Tensor, "images 3 h w"]) -> Float[Tensor, " images"]:
    down, right = pixels.diff(dim=2), pixels.diff(dim=3)
    return down.square().mean((1, 2, 3)) + right.square().mean((1, 2, 3))


@torch.no_grad()
def _final(
    model: Model, sites: Sequence[Site], targets: Sequence[Tensor], pixels: Tensor
) -> tuple[UInt8[Tensor, "sites 3 h w"], Float[Tensor, " sites"]]:
    images = (pixels * 255).round().to(torch.uint8)
    return images, _errors(model, sites, targets, images.float() / 255)


def _cosine(model: Model, original: np.ndarray, images: np.ndarray) -> np.ndarray:
    if not model.has_site("image.embedding"):
        return np.full(len(images), np.nan, np.float32)
    rows = model.embed([*original, *images])
    return rows[1:] @ rows[0]


def _as_array(images: UInt8[Tensor, "images 3 h w"]) -> np.ndarray:
    return images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
