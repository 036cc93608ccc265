import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lens.errors import BadImage, BadInput
from lens.featurevis import files, read_recipe, rerun, visualize
from lens.featurevis import objectives as o


@pytest.fixture(scope="module")
def vis(resnet):
    return visualize(resnet.site("image.layer2").units(range(7)), steps=2, progress=False)


def test_it_behaves_like_a_list_of_pictures(vis):
    assert len(vis) == 7
    assert isinstance(vis[3], Image.Image)
    assert np.array_equal(np.asarray(vis[3]), vis.images[3])
    assert [np.asarray(image).shape for image in vis] == [(32, 32, 3)] * 7
    assert repr(vis).startswith("Visualization of small-rn: 7 images of 32 x 32 after 2 steps")


def test_the_sheet_shows_every_image(vis):
    sheet = vis.sheet(columns=4, captions=False)
    assert sheet.size == (4 * 36 + 4, 2 * 36 + 4)
    pixels = np.asarray(sheet)
    for i in range(7):
        x, y = 4 + 36 * (i % 4), 4 + 36 * (i // 4)
        assert np.array_equal(pixels[y : y + 32, x : x + 32], vis.images[i])
    assert vis.sheet().size[1] > vis.sheet(captions=False).size[1]


def test_captions_are_cut_before_the_value_is(resnet):
    long = o.similarity(resnet, "a photograph of a dog on a skateboard")
    vis = visualize(long, size=32, steps=1, progress=False)
    caption = np.asarray(vis.sheet().convert("L"))[36 + 1 :, :]
    assert (caption < 128).any()  # something is written, and within the sheet
    assert (caption[:, -2:] > 128).all()


def test_png_files_carry_the_recipe(vis, tmp_path):
    assert vis.save(tmp_path / "sheet.png") == tmp_path / "sheet.png"
    assert read_recipe(tmp_path / "sheet.png") == vis.recipe
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == vis.sheet().size
    with Image.open(io.BytesIO(vis._repr_png_())) as image:
        assert image.format == "PNG"


def test_one_image_is_saved_as_it_is(resnet, tmp_path):
    one = visualize(resnet.site("image.layer2").unit(1), steps=2, progress=False)
    one.save(str(tmp_path / "one.png"))
    with Image.open(tmp_path / "one.png") as image:
        assert np.array_equal(np.asarray(image), one.images[0])


def test_html_shows_images_with_words_and_escapes_names(resnet):
    text = "<script>alert('dog')</script>"
    vis = visualize(o.similarity(resnet, text), steps=2, progress=False)
    page = vis._repr_html_()
    assert page.count("<img src=") == 1 and 'alt="similarity(' in page
    assert "<script>" not in page


def test_html_of_many_stays_small(resnet):
    units = [*resnet.site("image.layer2").units(range(64)), resnet.site("image.layer1").unit(0)]
    vis = visualize(units, steps=1, progress=False)
    page = vis._repr_html_()
    assert page.count("<figure") == 64 and "and 1 more" in page


def test_files_that_can_not_be(vis, tmp_path):
    with pytest.raises(BadInput, match=r"'vis.jpg' should end in .png, .webp"):
        vis.save(tmp_path / "vis.jpg")
    with pytest.raises(BadInput, match="there is no folder"):
        vis.save(tmp_path / "nowhere" / "vis.png")
    vis[0].save(tmp_path / "plain.png")
    with pytest.raises(BadImage, match="carries no recipe"):
        read_recipe(tmp_path / "plain.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(BadImage, match="can't be read as an image"):
        read_recipe(tmp_path / "text.png")
    with pytest.raises(BadImage, match="can't be read as an image"):
        read_recipe(tmp_path / "missing.png")


@pytest.mark.parametrize("name", ["one.webp", "one.npz", "one.png"])
def test_every_file_carries_the_recipe_and_the_pixels(resnet, tmp_path, name):
    one = visualize(resnet.site("image.layer2").unit(1), steps=2, snapshots=[1], progress=False)
    path = one.save(tmp_path / name)
    assert read_recipe(path) == one.recipe
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            assert np.array_equal(arrays["images"], one.images)
            assert np.array_equal(arrays["snapshot_1"], one.snapshots[1])
            assert np.array_equal(arrays["importance"], one.importance)
    else:
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image.convert("RGB")), one.images[0])
    assert np.array_equal(rerun(path, resnet, progress=False).images, one.images)


def test_long_recipes_can_be_read_again(tmp_path):
    long = {"text": "x" * 2**21}
    (tmp_path / "long.png").write_bytes(files.png(Image.new("RGB", (2, 2)), long))
    assert read_recipe(tmp_path / "long.png") == long
    (tmp_path / "long.webp").write_bytes(files.webp(Image.new("RGB", (2, 2)), long))
    assert read_recipe(tmp_path / "long.webp") == long
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    with pytest.raises(BadImage, match="can't be read as arrays"):
        read_recipe(tmp_path / "broken.npz")


def test_transparent_where_nothing_mattered(vis):
    shown = vis.transparent(2)
    assert shown.mode == "RGBA"
    array = np.asarray(shown)
    assert np.array_equal(array[:, :, :3], vis.images[2])
    assert vis.importance.shape == (7, 32, 32) and vis.importance.dtype == np.float32
    assert vis.importance.min() >= 0 and vis.importance.max() == 1
    assert np.array_equal(array[:, :, 3], np.round(vis.importance[2] * 255))


def test_curves_are_a_line_an_image(vis):
    figure = vis.curves()
    assert len(figure.data) == 7
    assert list(figure.data[0].x) == [1, 2]
    np.testing.assert_array_equal(figure.data[3].y, vis.curve[3])
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"


# What JSON can say, and people put into objectives and files' metadata: any letters, long texts,
# quotes, newlines, numbers of any size.
texts = st.text(max_size=60) | st.sampled_from(
    ["日本語 ß 🐙", "\x00\x7f\\\"'\n\r\t", "é" * 5000, ""]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
recipes = st.dictionaries(texts, values, max_size=5)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".npz"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(recipe=recipes)
def test_any_recipe_comes_back_from_a_file_beside_its_pixels(tmp_path, vis, suffix, recipe):
    one = replace(
        vis, images=vis.images[:1], units=vis.units[:1], values=vis.values[:1], recipe=recipe
    )
    path = one.save(tmp_path / f"one{suffix}")
    assert read_recipe(path) == recipe
    if suffix == ".npz":
        with np.load(path) as arrays:
            assert np.array_equal(arrays["images"], one.images)
    else:
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image.convert("RGB")), one.images[0])


@pytest.mark.parametrize("suffix", [".png", ".webp", ".npz"])
def test_a_recipe_of_megabytes_comes_back(tmp_path, vis, suffix):
    """Longer than what Pillow unpacks, in letters that compress badly and are many bytes each."""
    letters = np.random.default_rng(0).integers(0x4E00, 0x9FFF, 400_000)
    recipe = {"text": "".join(map(chr, letters)), "plain": "x" * 2**21}
    path = replace(vis, recipe=recipe).save(tmp_path / f"sheet{suffix}")
    assert read_recipe(path) == recipe
