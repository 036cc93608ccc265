"""How much a text excites a unit: by the joint space for the image tower, or by its own value.

An image unit never sees a text. What it says about one is its row of W, the map from its site to
the joint space: score = W_k . x_text ("zero-shot unit search"). The map is linear where the site is
the joint embedding itself (W_k is the coordinate); elsewhere it is taken to first order,

    W_k = mean over images of 1 / |e| sum over places of de / da_k,

e being the image's embedding, at the images that excite the unit most: where it is silent, what
comes after it is not listening. |e| stays fixed, as in direct logit attribution: else what the
image already says would be taken out of what the unit says. So W_k . x is the unit's share of the
cosine similarity - of the logit, up to the model's temperature - for one more of the unit's own
standard deviations.

A unit of the text tower reads the text itself: its score is its value at the token that stands for
the text (end-of-text), or the largest over the text's tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lens.capture.hooks import attach, record
from lens.errors import BadInput
from lens.featurevis.objectives.formula import Objective, Term
from lens.sites import Site, Unit, by_position, unit_values

TextPlace = Literal["end", "max"]
Score = Callable[[Sequence[str]], Float[np.ndarray, " texts"]]

_BATCH = 256
# Images shown, the most exciting of which are kept, and the step of the central difference in
# standard deviations of the unit: 1e-2 leaves an error of 1e-4 of the second order, and six
# digits of float32 for the difference.
SHOWN, KEPT, STEP = 384, 32, 0.05


def scorer(target: Any, *, images: Any = None, at: TextPlace = "end", seed: int = 0) -> Score:
    """What turns texts into how much they excite a unit, a direction or a similarity.

    Parameters
    ----------
    target
        A unit, or one of ``objectives.unit``, ``direction`` and ``similarity``.
    images
        Images to linearise an image unit at: a sequence of pictures; some of the embedded glyphs
        by default.
    at
        For units of the text tower: the ``"end"`` token, or the ``"max"`` over tokens.
    seed
        Chooses the default images.

    Raises
    ------
    BadInput
        For a target of another sort, or a model without a tokenizer or a joint space.
    """
    site, towards = _site_and_direction(target)
    model = site.model
    if model.tokenizer is None or "text" not in model.towers:
        raise BadInput(
            f"{model.name} reads no text: the words that excite a unit are found in a model with a "
            "text tower and a tokenizer, such as lens.load('glyph-rn')."
        )
    if at not in ("end", "max"):
        raise BadInput(f"at is 'end' or 'max', not {at!r}.")
    if site.tower == "text":
        return _own_value(site, towards, at)
    if site.tower != "image":
        raise BadInput(f"{site.name} is in the {site.tower} tower, which no text reaches.")
    return _along(model, joint_direction(site, towards, images=images, seed=seed))


def joint_direction(
    site: Site, towards: Float[np.ndarray, " units"], *, images: Any = None, seed: int = 0
) -> Float[np.ndarray, " dim"]:
    """Where in the joint space a direction of an image site points to: W_k of this file's head.

    Raises
    ------
    BadInput
        Where the model has no joint space, the embedding does not depend on the site, or there
        are no images.
    """
    model = site.model
    if not model.has_site("image.embedding"):
        raise BadInput(f"{model.name} has no joint space of pictures and texts.")
    joint = model.site("image.embedding")
    if site == joint:
        return np.asarray(towards, dtype=np.float32)
    pictures = _default_images(seed) if images is None else list(images)
    if not pictures:
        raise BadInput("there are no images to linearise the unit at: the list is empty.")
    batch = torch.stack([model.picture(picture) for picture in pictures])
    vector = torch.from_numpy(np.array(towards, dtype=np.float32))
    values = _values(site, batch, vector)
    best = torch.argsort(values, descending=True, stable=True)[:KEPT]
    spread = float(values.std()) if len(values) > 1 else 0.0
    spread = spread or float(values.abs().mean()) or 1.0
    chosen = batch[best]
    norm = _embedded(joint, chosen).norm(dim=1, keepdim=True)
    moved = [
        _embedded(joint, chosen, site, sign * STEP * spread * vector.to(model.device))
        for sign in (1, -1)
    ]
    direction = ((moved[0] - moved[1]) / (2 * STEP) / norm).mean(0)
    if not bool(direction.abs().max() > 0):
        raise BadInput(f"the embedding of {model.name} does not depend on {site.name} here.")
    return direction.cpu().numpy().astype(np.float32)


@torch.no_grad()
def _values(
    site: Site, batch: Float[Tensor, "images 3 h w"], vector: Float[Tensor, " units"]
) -> Float[Tensor, " images"]:
    found = []
    with record([site]) as taps:
        for part in batch.split(64):
            pooled = unit_values(site, taps.forward(part)[site.name].float())
            found.append((pooled @ vector.to(pooled.device)).cpu())
    return torch.cat(found)


@torch.no_grad()
def _embedded(
    joint: Site,
    batch: Float[Tensor, "images 3 h w"],
    site: Site | None = None,
    shift: Float[Tensor, " units"] | None = None,
) -> Float[Tensor, "images dim"]:
    """The embeddings, with a shift of a site's activation at every place, if any."""

    def shifted(tensor: Tensor) -> Tensor:
        assert site is not None and shift is not None
        if site.unit_axis is None:
            raise BadInput(f"{site.name} counts heads and features together; use another site.")
        shape = [1] * tensor.ndim
        shape[site.unit_axis] = -1
        return tensor + shift.to(tensor).reshape(shape)

    with ExitStack() as attached:
        if site is not None:
            attached.callback(attach(site, shifted))
        found = [joint.model.run("image", part).float() for part in batch.split(64)]
    return torch.cat(found)


def _along(model: Any, direction: Float[np.ndarray, " dim"]) -> Score:
    def score(texts: Sequence[str]) -> Float[np.ndarray, " texts"]:
        embedded = model.embed(list(texts), batch_size=_BATCH)
        if embedded.shape[1] != len(direction):
            raise BadInput(
                f"texts of {model.name} have {embedded.shape[1]} numbers and pictures "
                f"{len(direction)}: there is no joint space."
            )
        return embedded @ direction

    return score


def _own_value(site: Site, towards: Float[np.ndarray, " units"], at: TextPlace) -> Score:
    vector = torch.from_numpy(np.array(towards, dtype=np.float32))
    model = site.model

    @torch.no_grad()
    def score(texts: Sequence[str]) -> Float[np.ndarray, " texts"]:
        found, tokens = [], model.tokens(list(texts))
        with record([site]) as taps:
            for part in tokens.split(_BATCH):
                tensor = taps.forward(part)[site.name].float()
                if site.layout == "BD":
                    values = (tensor @ vector.to(tensor.device))[:, None]
                else:
                    placed = by_position(site, tensor)
                    last = model.pooled_token(part).to(placed.device)
                    values = placed @ vector.to(placed.device)
                    place = torch.arange(values.shape[1], device=values.device)
                    seen = place <= last[:, None] if at == "max" else place == last[:, None]
                    values = values.masked_fill(~seen, -torch.inf)
                found.append(values.amax(1).cpu())
        return torch.cat(found).numpy()

    return score


def _site_and_direction(target: Any) -> tuple[Site, Float[np.ndarray, " units"]]:
    if isinstance(target, Unit):
        return target.site, _one_hot(target.site.n_units, target.index)
    if isinstance(target, Term) and target.site is not None:
        # What comes after a ReLU is what the unit says; an objective looks before it, to climb.
        site = _after_relu(target.site)
        if target.kind == "unit":
            return site, _one_hot(site.n_units, int(target.data))
        if target.kind in ("direction", "cosine_direction", "similarity"):
            return site, np.asarray(target.data, dtype=np.float32)
    kind = "the objective" if isinstance(target, Objective) else type(target).__name__
    raise BadInput(
        f"texts are found for a unit, a direction or a similarity, not for {kind} {target!r}; "
        "model.site('image.layer4').unit(17) is a unit."
    )


def _after_relu(site: Site) -> Site:
    name = site.name.removesuffix(".pre_relu")
    return site.model.site(name) if site.model.has_site(name) else site


def _one_hot(count: int, index: int) -> Float[np.ndarray, " units"]:
    return np.eye(1, count, index, dtype=np.float32)[0]


def _default_images(seed: int) -> list[Any]:
    from PIL import Image

    from lens.data import glyphs

    stimuli = glyphs().stimuli(per_cell=2, seed=seed)
    rows = np.sort(np.random.default_rng(seed).permutation(len(stimuli))[:SHOWN])
    return [Image.fromarray(pixels) for pixels in stimuli.pixels(rows)]
