import io

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from lens.errors import BadImage, BadInput, TooLarge
from lens.pictures import MAX_PIXELS, open_picture, resized, to_rgb


def colours(image):
    return np.asarray(image).reshape(-1, 3)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 128, (128, 128, 128)),
        ("1", 1, (255, 255, 255)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("LA", (0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 32896, (128, 128, 128)),
        ("I", 200, (200, 200, 200)),
        ("I", 65535, (255, 255, 255)),
        ("F", 0.5, (128, 128, 128)),
        ("F", 200.0, (200, 200, 200)),
        ("HSV", (0, 255, 255), (255, 0, 0)),
    ],
)
def test_every_mode_becomes_rgb(mode, colour, expected):
    image = open_picture(Image.new(mode, (3, 2), colour))
    assert image.mode == "RGB"
    assert image.size == (3, 2)
    assert np.abs(colours(image).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_from_a_file(tmp_path, suffix):
    path = tmp_path / f"deep{suffix}"
    Image.fromarray(np.array([[0, 257, 65535]], np.uint16)).save(path)
    assert colours(open_picture(path))[:, 0].tolist() == [0, 1, 255]


def test_a_palette_with_a_clear_colour_is_shown_on_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    path = tmp_path / "palette.png"
    image.save(path, transparency=0)
    assert colours(open_picture(path)).tolist() == [[255, 255, 255], [0, 0, 255]]
    image.save(path)
    assert colours(open_picture(path)).tolist() == [[255, 0, 0], [0, 0, 255]]


def test_pictures_are_stood_upright(tmp_path):
    image = Image.new("RGB", (20, 10), "red")
    exif = image.getexif()
    exif[0x0112] = 6  # lies on its side
    path = tmp_path / "side.jpg"
    image.save(path, exif=exif)
    assert open_picture(path).size == (10, 20)


def test_a_cmyk_file(tmp_path):
    path = tmp_path / "print.jpg"
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path, quality=100)
    assert np.abs(colours(open_picture(path)).astype(int) - [255, 0, 0]).max() < 20


def test_a_picture_of_too_many_pixels_is_refused_with_the_numbers(tmp_path, monkeypatch):
    path = tmp_path / "huge.png"
    Image.new("1", (20_000, 20_000)).save(path)
    decoded = []
    monkeypatch.setattr(Image.Image, "convert", lambda *args: decoded.append(args))
    with pytest.raises(TooLarge, match=r"huge\.png.* 20,000 x 20,000 pixels; at most 89,478,485"):
        open_picture(path)
    assert not decoded
    assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS, "Pillow's own limit was moved"


def test_between_pillows_warning_and_its_error(tmp_path, recwarn):
    path = tmp_path / "large.png"
    Image.new("1", (10_000, 10_000)).save(path)
    with pytest.raises(TooLarge, match="10,000 x 10,000"):
        open_picture(path)
    assert not recwarn.list


def test_files_that_are_no_pictures(tmp_path):
    (tmp_path / "notes.png").write_text("not a picture at all")
    (tmp_path / "empty.png").touch()
    for name, why in {
        "missing.png": "There is no file",
        "notes.png": "not a picture in any format",
        "empty.png": "is empty",
        ".": "is a folder",
    }.items():
        with pytest.raises(BadImage, match=why) as caught:
            open_picture(tmp_path / name)
        assert str(tmp_path) in str(caught.value)


def encoded(format: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, format)
    return file.getvalue()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP"])
def test_a_truncated_file_is_named(tmp_path, format):
    path = tmp_path / f"half.{format.lower()}"
    whole = encoded(format)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadImage, match=r"half\."):
        open_picture(path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF"]), st.data())
def test_a_damaged_file_is_a_picture_or_one_sentence(tmp_path, format, data):
    """Whatever a decoder raises on broken bytes, it comes out as BadImage that names the file."""
    raw = bytearray(encoded(format))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, min(len(raw) - 1, 400)))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(raw)
    try:
        assert open_picture(path).mode == "RGB"
    except BadInput as error:
        assert "damaged" in str(error)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3))))
def test_arrays_tensors_and_pictures_agree(array):
    direct = np.asarray(open_picture(array))
    assert np.array_equal(direct, array)
    as_floats = np.asarray(open_picture(array.astype(np.float32) / 255))
    assert np.array_equal(as_floats, array)
    as_tensor = np.asarray(open_picture(torch.from_numpy(array).permute(2, 0, 1)))
    assert np.array_equal(as_tensor, array)
    assert np.array_equal(np.asarray(open_picture(Image.fromarray(array))), array)


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.full((4, 4, 3), 1.5), r"floats from 1\.5 to 1\.5; they must be in \[0, 1\]"),
        (np.full((4, 4, 3), -0.1), r"floats from -0\.1"),
        (np.full((4, 4, 3), np.nan), "48 NaN or infinite"),
        (np.zeros((4, 4, 7)), r"shape \(4, 4, 7\)"),
        (np.zeros((0, 4, 3)), r"shape \(0, 4, 3\)"),
        (np.zeros(4), r"shape \(4,\)"),
        (np.full((4, 4), 300), "from 300 to 300; 0 to 255"),
    ],
)
def test_arrays_that_are_no_pictures(array, why):
    with pytest.raises(BadImage, match=why):
        open_picture(array)


def test_grey_alpha_and_boolean_arrays():
    assert open_picture(np.zeros((4, 5), np.uint8)).size == (5, 4)
    assert open_picture(np.zeros((4, 5, 1), np.uint8)).size == (5, 4)
    assert colours(open_picture(np.zeros((1, 1, 4), np.uint8))).tolist() == [[255, 255, 255]]
    assert colours(open_picture(np.ones((1, 1), bool))).tolist() == [[255, 255, 255]]


def test_other_things_are_no_pictures():
    with pytest.raises(BadInput, match="of type dict"):
        open_picture({"image": 3})


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 30), st.integers(1, 30))
@settings(deadline=None)
def test_resizing_fills_any_frame(width, height, rows, columns):
    image = resized(Image.new("RGB", (width, height), (9, 8, 7)), (rows, columns))
    assert image.size == (columns, rows)
    assert colours(image).min(axis=0).tolist() == [9, 8, 7]


def test_plain_rgb_is_not_copied_needlessly():
    image = Image.new("RGB", (2, 2))
    assert np.array_equal(np.asarray(to_rgb(image)), np.asarray(image))
