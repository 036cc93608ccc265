"""A look at four pictures, and the same numbers by numpy in float64."""

import numpy as np
import pytest
import torch

import lens
from lens.featurevis.objectives.looking import look
from lens.featurevis.objectives.measures import measure


@pytest.fixture(scope="session")
def pixels():
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def photo():
    """A picture to compare with, (32, 32, 3)."""
    return np.random.default_rng(5).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def valued(pixels):
    """Measure an objective on the four pictures; one objective, or one each."""

    def measured(objectives, copy_of=None):
        listed = objectives if isinstance(objectives, list) else [objectives] * 4
        model = next(site for one in listed for site in one.sites).model
        with torch.no_grad():
            whose = torch.arange(4) if copy_of is None else torch.tensor(copy_of)
            return measure(listed, look(model, listed, pixels, pixels, whose)).numpy()

    return measured


@pytest.fixture(scope="session")
def captured(pixels):
    """What ``lens.capture`` finds at a site for the four pictures, or for others, in float64."""

    def values(site, images=None):
        shown = pixels if images is None else images
        found = lens.capture(site.model, list(site.model.normalize(shown)), [site.name])
        return np.asarray(found[site.name], dtype=np.float64)

    return values


@pytest.fixture(scope="session")
def as_pixels():
    return lambda image: torch.from_numpy(image).permute(2, 0, 1)[None] / 255
