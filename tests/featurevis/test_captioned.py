import base64
import io

import numpy as np
from PIL import Image

from lens.featurevis import captioned


def test_images_stand_in_rows_with_room_for_their_captions():
    images = [np.full((20, 30, 3), shade, np.uint8) for shade in (10, 20, 30)]
    page = captioned.grid(images, [["a", "b"], ["c"], ["d"]], columns=2)
    assert page.size == (2 * 102 + 6, 2 * (20 + 2 * 13 + 6) + 6)
    for image, (x, y) in zip(images, [(6, 6), (108, 6), (6, 58)], strict=True):
        assert np.array_equal(np.asarray(page)[y : y + 20, x : x + 30], image)
    assert np.asarray(page)[26:38, 6:20].min() < 100


def test_a_title_is_escaped_and_the_picture_is_inside():
    page = Image.new("RGB", (5, 4), "red")
    shown = captioned.figure(page, "<b>", "<hr>")
    assert "<b>" not in shown
    assert shown.endswith("<hr></div>")
    data = shown.split("base64,")[1].split('"')[0]
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (5, 4)
