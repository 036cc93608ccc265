"""Showing images to a model: no further than the last site that somebody looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lens.capture.hooks import forward_to
from lens.featurevis.objectives.formula import Objective
from lens.featurevis.objectives.measures import Scene
from lens.featurevis.picture import Picture
from lens.model import Model
from lens.sites import Site, by_position


def look(
    model: Model,
    objectives: Sequence[Objective],
    pixels: Float[Tensor, "rows 3 h w"],
    seen: Float[Tensor, "rows 3 h w"],
    copy_of: Int[Tensor, " rows"],
    number: Int[Tensor, " rows"] | None = None,
    memory: dict[Any, Any] | None = None,
) -> Scene:
    """Show images to the model, no further than the last site that an objective looks at.

    Parameters
    ----------
    model
        The model that looks.
    objectives
        Whose sites are needed.
    pixels
        What terms about the image itself measure.
    seen
        What the model sees.
    copy_of
        For whose copies the images are.
    number
        Which image each row shows; by default each row is one of its own.
    memory
        What measures have remembered so far.
    """
    number = torch.arange(len(seen), device=seen.device) if number is None else number
    sites = list(dict.fromkeys(site for objective in objectives for site in objective.sites))
    found = forward_to(sites, normalized(model, seen), detach=False) if sites else {}
    return Scene(
        pixels,
        {site: found[site.name] for site in sites},
        copy_of,
        seen=seen,
        number=number,
        roots=(seen, pixels),
        number_of_roots=number,
        memory={} if memory is None else memory,
    )


def normalized(
    model: Model, images: Float[Tensor, "rows 3 h w"]
) -> Float[Tensor, "rows channels h w"]:
    """Images in [0, 1] as the model takes them: its own colours and normalisation."""
    coloured = images if len(model.mean) == 3 else images.mean(1, keepdim=True)
    return model.normalize(coloured).contiguous(memory_format=torch.channels_last)


def of_pictures(
    pictures: Sequence[Picture], site: Site, scene: Scene
) -> Float[Tensor, "rows positions units"]:
    """What a site computes of given pictures at the scene's size, in float32 and once a run."""
    for picture in dict.fromkeys(pictures):
        key = ("activations", id(picture), site, scene.size)
        if key not in scene.memory:
            shown = picture.at_size(scene.size).to(scene.pixels.device)
            with torch.no_grad():
                found = forward_to(site, normalized(site.model, shown))[site.name]
            # The picture is kept along, so that its id stays its own.
            scene.memory[key] = by_position(site, found)[0].float(), picture
    keys = [("activations", id(picture), site, scene.size) for picture in pictures]
    return torch.stack([scene.memory[key][0] for key in keys])


@contextmanager
def undisturbed(*modules: nn.Module) -> Iterator[None]:
    """Eval mode, and gradients to the image alone; everything as it was afterwards."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    wanted = [(own, own.requires_grad) for module in modules for own in module.parameters()]
    try:
        for module in modules:
            module.eval()
        for parameter, _ in wanted:
            parameter.requires_grad_(False)
        # A notebook may have switched gradients off for all of its cells.
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training
        for parameter, requires_grad in wanted:
            parameter.requires_grad_(requires_grad)
