"""The sheet shows every unit's own pictures at their places."""

import numpy as np
import pytest

from lens.neurons.contact_sheet import (
    COLUMNS,
    HEIGHT,
    MARGIN,
    WANTED,
    WIDTH,
    _short,
    contact_sheet,
    kinds,
)
from lens.neurons.multimodal import table_of
from lens.neurons.responses import responses


def test_a_card_for_every_unit(model, stimuli):
    measured = responses(model.site("image.layer4"), stimuli, progress=False)
    rows = table_of(measured).head(5)
    colours = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 0], [0, 250, 250]])
    wanted = np.broadcast_to(colours[:, None, None], (5, 16, 16, 3)).astype(np.uint8)
    sheet = np.asarray(contact_sheet(measured, rows, wanted, "A title", "A subtitle"))
    top = sheet.shape[0] - 2 * (HEIGHT + MARGIN)
    for i, colour in enumerate(colours):
        line, column = divmod(i, COLUMNS)
        y = top + line * (HEIGHT + MARGIN) + MARGIN + 34 + WANTED // 2
        x = MARGIN + column * (WIDTH + MARGIN) + MARGIN + WANTED // 2
        np.testing.assert_array_equal(sheet[y, x], colour)
    assert sheet[:top].std() > 0  # something is written above


def test_kinds_of_renderings():
    assert kinds(["cartoon", "render", "drawing", "word"]) == {
        "picture": ["cartoon", "render"],
        "drawing": ["drawing"],
        "word": ["word"],
    }
    assert kinds(["photo"]) == {"picture": ["photo"]}


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "1"), (0.9999, ">.99"), (0.991, "0.99"), (0.5, "0.50"), (0.0, "0.00")],
)
def test_shares_are_never_rounded_up_to_one(share, text):
    assert _short(share) == text
