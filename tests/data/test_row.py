import numpy as np
import pytest
from PIL import Image

from lens.data import row
from lens.errors import BadInput


def test_pictures_stand_in_order_with_ink_below_each():
    reds = [Image.new("RGB", (20, 20), (value, 0, 0)) for value in (60, 160, 250)]
    strip = np.asarray(row(reds, ["one", "two", "three"], size=40, gap=10))
    assert strip.shape == (76, 160, 3)
    assert [int(strip[30, 30 + 50 * i, 0]) for i in range(3)] == [60, 160, 250]
    for i in range(3):
        assert strip[54:, 10 + 50 * i : 50 + 50 * i].min() < 100


@pytest.mark.parametrize("labels", [[], ["one"]])
def test_every_picture_needs_its_label(labels):
    with pytest.raises(BadInput, match="label"):
        row([Image.new("RGB", (4, 4))] * 2, labels)
