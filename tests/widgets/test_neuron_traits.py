"""What a card becomes on its way to the page."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lens.neurons.card import NeuronCard
from lens.neurons.examples import Example
from lens.widgets.atlas import atlas
from lens.widgets.neuron.traits import card_traits, picture_traits


def example(shade=10, heat=None, concept="dog", size=96):
    if heat is None:
        heat = np.zeros((4, 4), np.float32)
    return Example(np.full((size, size, 3), shade, np.uint8), heat, concept, "icon", 1.5)


def card(**changes):
    given = {
        "unit_name": "m s unit 7",
        "model": "m",
        "site": "s",
        "index": np.int64(7),
        "n_units": 16,
        "visualization": None,
        "visualization_value": float("nan"),
        "recipe": {},
        "examples": [example()],
        "responses": pd.DataFrame(
            [
                ("dog", "icon", 1.0, 0.5, 4),
                ("dog", "word", 2.0, np.nan, 1),
                ("cat", "word", 0.1, 1, 4),
            ],
            columns=["concept", "rendering", "mean", "sd", "n"],
        ),
        "histogram": (np.array([0.0, 1, 2]), np.array([3, 4]), np.array([0, 2])),
        "words": [("dog", np.float32(0.25))],
        "statistics": None,
    }
    return NeuronCard(**{**given, **changes})


def as_json(traits):
    """Give what a browser would parse; fails for NaN and for numpy's types."""
    return json.loads(
        json.dumps(traits, allow_nan=False, default=lambda value: f"{len(bytes(value))} bytes")
    )


def test_only_plain_json_and_bytes():
    traits = as_json(card_traits(card()))
    assert traits["index"] == 7
    assert traits["words"] == [["dog", 0.25]]
    assert traits["histogram"] == {"edges": [0, 1, 2], "counts": [3, 4], "top": [0, 2]}
    assert traits["statistics"] is None
    assert traits["verdict"]["level"] == "none"


def test_responses_are_a_grid_with_holes_where_nothing_was_shown():
    grid = card_traits(card())["responses"]
    assert grid["concepts"] == ["dog", "cat"]
    assert grid["renderings"] == ["icon", "word"]
    assert grid["cells"][0][1] == {"mean": 2.0, "margin": 0, "sd": None, "n": 1}
    assert grid["cells"][1][0] is None


def test_the_margin_is_half_of_students_interval():
    from scipy.stats import t

    cell = card_traits(card())["responses"]["cells"][1][1]
    low, high = t.interval(0.95, 3, loc=0.1, scale=1 / 4**0.5)
    assert cell["margin"] == pytest.approx((high - low) / 2, rel=1e-6)


def test_statistics_keep_small_numbers_and_drop_what_is_not_finite():
    found = {
        "concept": "dog",
        "score": np.float64(0.96),
        "p": 1e-310,
        "q": 3.25e-9,
        "n": np.int64(8),
        "d_prime": np.inf,
        "gap": np.nan,
        "auroc": {"icon": 0.99, "word": 0.96},
    }
    told = as_json(card_traits(card(statistics=found)))["statistics"]
    assert told["p"] == pytest.approx(1e-310)
    assert told["q"] == 3.25e-9
    assert told["d_prime"] is None and told["gap"] is None
    assert told["auroc"] == [["icon", 0.99], ["word", 0.96]]


def test_heat_is_a_byte_a_place_and_its_peak_has_a_name():
    heat = np.zeros((3, 6), np.float32)
    heat[0, 5], heat[1, 2] = 1, 0.5
    told = card_traits(card(examples=[example(heat=heat)]))["examples"][0]["heat"]
    assert (told["height"], told["width"], told["peak"]) == (3, 6, "upper right")
    assert np.frombuffer(told["values"], np.uint8).reshape(3, 6)[1, 2] == 128


@pytest.mark.parametrize(
    ("place", "name"),
    [((0, 0), "upper left"), ((1, 1), "centre"), ((2, 1), "lower"), ((1, 2), "right")],
)
def test_places(place, name):
    heat = np.zeros((3, 3), np.float32)
    heat[place] = 1
    assert card_traits(card(examples=[example(heat=heat)]))["examples"][0]["heat"]["peak"] == name


def test_a_site_without_places_has_no_heat():
    heat = np.zeros((1, 1), np.float32)
    assert card_traits(card(examples=[example(heat=heat)]))["examples"][0]["heat"] is None


def test_atlas_tiles_lie_where_the_page_looks_for_them():
    shades = [20, 60, 100, 140, 180]
    sheet = atlas([example(shade, size=48).image for shade in shades], tile=32, columns=2)
    image = np.asarray(Image.open(io.BytesIO(sheet["image"])).convert("RGB")).astype(int)
    assert image.shape == (96, 64, 3)
    for i, shade in enumerate(shades):
        x, y = 32 * (i % 2) + 16, 32 * (i // 2) + 16
        assert abs(image[y, x] - shade).max() <= 6


def test_a_picture_is_webp_of_its_own_size():
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    told = picture_traits(3, pixels, np.float32(np.inf), {"steps": "4"})
    assert told["state"] == "ready"
    assert told["value"] is None
    assert Image.open(io.BytesIO(told["image"])).size == (50, 40)
