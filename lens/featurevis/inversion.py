"""What a layer keeps of an image: images made from its activations alone, depth by depth.

An image is changed until the site's activations are those of the original. What comes back is what
the site still knows; what comes back differently is what it has let go.

References
----------
Mahendran, Vedaldi, "Understanding Deep Image Representations by Inverting Them", CVPR 2015
(equations 1 to 4: the distance over the norm of the original's activations, and total variation).
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

from lens.errors import BadInput
from lens.featurevis import captioned, objectives
from lens.featurevis.likeness import pixel_correlation, ssim
from lens.featurevis.loop.optimize import generator
from lens.featurevis.objectives.formula import Objective
from lens.featurevis.objectives.looking import look, undisturbed
from lens.featurevis.objectives.measures import measure
from lens.featurevis.parameterization import Fourier, Parameterization
from lens.featurevis.picture import Picture
from lens.featurevis.render import visualize
from lens.featurevis.transforms import moves
from lens.featurevis.visualization import Visualization
from lens.model import Model
from lens.sites import Site

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Inversions:
    """Images made from the activations that one image has at some sites.

    Attributes
    ----------
    original
        The image as the model sees it, eight-bit RGB.
    made
        The visualization that the images come from, one a site: its recipe makes them again, its
        curve is minus the error and the total variation, step by step.
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
    """

    original: UInt8[np.ndarray, "h w 3"]
    made: Visualization
    sites: list[Site]
    errors: Float[np.ndarray, " sites"]
    start_errors: Float[np.ndarray, " sites"]
    similarity: Float[np.ndarray, " sites"]
    correlation: Float[np.ndarray, " sites"]
    ssim: Float[np.ndarray, " sites"]

    @property
    def images(self) -> UInt8[np.ndarray, "sites h w 3"]:
        """One a site, eight-bit RGB."""
        return self.made.images

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
        count = f"{len(self)} site{'s' if len(self) != 1 else ''}"
        return (
            f"Inversions of {self.made.recipe['model']}: {count} after "
            f"{self.made.curve.shape[1]} steps, errors {self.errors.min():.2g} to "
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
    **options: Any,
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
        Weight of the mean step between neighbouring pixels, counted in the image's own contrast
        (the standard deviation of its pixels). 0 inverts without a prior but the
        parameterization's.
    seed
        Decides the noise that all sites start from.
    lr
        Learning rate; the parameterization's own by default.
    parameterization
        Where images come from; ``Fourier()`` by default.
    progress
        Whether to show a progress bar.
    **options
        Further ones of ``visualize``: batch_size, precision (``"fp32"`` by default), snapshots.

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
    if not 0 <= total_variation < float("inf"):
        raise BadInput(f"total_variation is a weight of 0 or more, not {total_variation!r}.")
    source = parameterization or Fourier()
    size = (int(model.image_size[0]), int(model.image_size[1]))
    wanted = Picture.of(image).at_size(size)
    original = _eight_bit(wanted)
    weight = float(total_variation) / max(float(wanted.std()), 0.01)
    errors = {site: objectives.inversion(site, original[0]) for site in chosen}
    aims = [errors[site] - weight * objectives.total_variation() for site in chosen]
    made = visualize(
        aims,
        steps=steps,
        seed=seed,
        lr=lr,
        parameterization=source,
        transforms=moves(),
        progress=progress,
        **{"precision": "fp32", **options},
    )
    # What became NaN was left out, and so was what an interruption left undone.
    finished = {id(aim) for aim in made.units}
    chosen = [site for site, aim in zip(chosen, aims, strict=True) if id(aim) in finished]
    with torch.no_grad():
        z = source.start(size, [generator(seed, 0, 0)]).to(model.device)
        start = _eight_bit(source.pixels(z, size))
    images = _as_tensor(made.images)
    whole = _as_tensor(original).expand_as(images)
    return Inversions(
        original[0],
        made,
        chosen,
        _errors(model, [errors[site] for site in chosen], made.images),
        _errors(model, [errors[site] for site in chosen], start.repeat(len(chosen), 0)),
        _cosine(model, original, made.images),
        pixel_correlation(images, whole).numpy(),
        ssim(images, whole).numpy(),
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


def _errors(
    model: Model, inversions: Sequence[Objective], images: UInt8[np.ndarray, "sites h w 3"]
) -> Float[np.ndarray, " sites"]:
    """||a - b||^2 / ||b||^2 of image i at site i, as the image stands."""
    pixels = _as_tensor(images).to(model.device)
    with undisturbed(model.module), torch.no_grad():
        rows = torch.arange(len(pixels), device=model.device)
        return -measure(inversions, look(model, inversions, pixels, pixels, rows)).cpu().numpy()


def _cosine(model: Model, original: np.ndarray, images: np.ndarray) -> np.ndarray:
    if not model.has_site("image.embedding"):
        return np.full(len(images), np.nan, np.float32)
    rows = model.embed([*original, *images])
    return rows[1:] @ rows[0]


def _eight_bit(pixels: Float[Tensor, "images 3 h w"]) -> UInt8[np.ndarray, "images h w 3"]:
    return (pixels * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _as_tensor(images: UInt8[np.ndarray, "images h w 3"]) -> Float[Tensor, "images 3 h w"]:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
