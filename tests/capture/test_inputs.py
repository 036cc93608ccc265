import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import lens
from lens.capture.inputs import image_batches, text_batches
from lens.errors import BadImage, BadInput


def read(inputs, model, **options):
    """Every label with its row."""
    batches = image_batches(inputs, model, **options)
    return {
        label: row for batch, labels in batches for label, row in zip(labels, batch, strict=True)
    }


@pytest.fixture()
def folder(tmp_path):
    for i in range(3):
        Image.new("RGB", (20, 20), (80 * i, 0, 0)).save(tmp_path / f"{i}.png")
    (tmp_path / "deeper").mkdir()
    Image.new("L", (20, 20)).save(tmp_path / "deeper" / "grey.jpg")
    (tmp_path / ".hidden").write_text("left alone")
    return tmp_path


def test_one_picture_in_any_form_is_the_same_row(tiny_rn, folder):
    image = Image.open(folder / "1.png").convert("RGB")
    array = np.asarray(image)
    forms = [
        image,
        [image],
        folder / "1.png",
        str(folder / "1.png"),
        array,
        array[None],
        array.astype(np.float64) / 255,
        torch.from_numpy(array.copy()).permute(2, 0, 1),
        tiny_rn.preprocess(image),
        tiny_rn.preprocess(image)[None],
        [(image, 7)],
        (x for x in [image]),
    ]
    expected = tiny_rn.preprocess(image)
    for form in forms:
        rows = list(read(form, tiny_rn).values())
        assert len(rows) == 1
        torch.testing.assert_close(rows[0], expected, rtol=0, atol=1e-6)


def test_a_folder_is_the_files_below_it_in_order(tiny_rn, folder):
    rows = read(folder, tiny_rn)
    names = [label.removeprefix(str(folder)).lstrip("/") for label in rows]
    assert names == ["0.png", "1.png", "2.png", "deeper/grey.jpg"]


def test_lists_of_everything(tiny_rn, folder):
    stack = np.zeros((2, 8, 8, 3), np.uint8)
    batches = image_batches([folder, stack, Image.new("L", (5, 5))], tiny_rn, batch_size=3)
    sizes = [len(labels) for _, labels in batches]
    assert sizes == [3, 3, 1]


def test_a_bad_file_is_skipped_and_counted(tiny_rn, folder):
    (folder / "notes.txt").write_text("hello")
    (folder / "0.png").write_bytes((folder / "0.png").read_bytes()[:40])
    batches = image_batches(folder, tiny_rn)
    with pytest.warns(UserWarning, match=r"2 of 5 inputs were skipped .*strict=True"):
        labels = [label for _, labels in batches for label in labels]
    assert len(labels) == 3
    assert [what.split("/")[-1] for what, _ in batches.skipped] == ["0.png", "notes.txt"]
    assert "not a picture" in batches.skipped[1][1]


def test_strict_stops_at_the_first(tiny_rn, folder):
    (folder / "1.png").write_text("hello")
    with pytest.raises(BadImage, match=r"1\.png"):
        read(folder, tiny_rn, strict=True)


def test_nothing_to_read(tiny_rn, tmp_path):
    for nothing, why in [
        ([], "list is empty"),
        (tmp_path, "folder .* is empty"),
        (np.zeros((0, 8, 8, 3)), r"shape \(0, 8, 8, 3\)"),
        (torch.zeros(0, 3, 64, 64), "shape"),
        (iter([]), "nothing was given"),
        (42, "type int"),
    ]:
        with pytest.raises(BadInput, match=why):
            read(nothing, tiny_rn)


def test_nothing_readable(tiny_rn, tmp_path):
    with pytest.raises(BadImage, match=r"There is no file '.*missing\.png'"):
        read(tmp_path / "missing.png", tiny_rn)
    with pytest.raises(BadInput, match=r"None of the 2 inputs could be read: There is no file"):
        read([tmp_path / "a.png", tmp_path / "b.png"], tiny_rn)


def test_bad_arrays_are_numbered(tiny_rn):
    good = np.zeros((8, 8, 3))
    batches = image_batches([good, good + 3, good * np.nan], tiny_rn)
    with pytest.warns(UserWarning, match="2 of 3"):
        list(batches)
    assert batches.skipped[0] == (
        "1",
        "Input 1 has floats from 3 to 3; they must be in [0, 1] "
        "(a normalised tensor goes through as it is, an array does not).",
    )
    assert "192 NaN" in batches.skipped[1][1]


def test_tensors_with_nan_or_of_another_shape(tiny_rn, pictures):
    broken = pictures.clone()
    broken[2, 0, 0, 0] = float("nan")
    batches = image_batches(broken, tiny_rn)
    with pytest.warns(UserWarning, match="Input 2 has 1 NaN"):
        ((batch, labels),) = list(batches)
    assert labels == ["0", "1", "3", "4"]
    assert torch.equal(batch, broken[[0, 1, 3, 4]])
    odd = [pictures[0], pictures[1, :, :32], pictures[2]]
    with pytest.raises(BadImage, match=r"Input 1 has the shape \(3, 32, 64\)"):
        read(odd, tiny_rn, strict=True)


def test_a_data_set(tiny_rn):
    class Set(torch.utils.data.Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return Image.new("RGB", (9, 9), (index, 0, 0)), index

    batches = image_batches(Set(), tiny_rn, batch_size=2)
    assert batches.total == 3
    assert [labels for _, labels in batches] == [["0", "1"], ["2"]]


def test_the_embedded_pictures_are_a_data_set(tiny_rn):
    glyphs = lens.data.glyphs()
    batch, labels = next(iter(image_batches(glyphs, tiny_rn, batch_size=4)))
    assert batch.shape == (4, 3, 64, 64)
    assert len(labels) == 4


def test_texts(tiny_rn):
    batches = text_batches(["a dog", "a cat", "a bird"], tiny_rn, batch_size=2)
    found = list(batches)
    assert [labels for _, labels in found] == [["a dog", "a cat"], ["a bird"]]
    assert torch.equal(found[0][0], tiny_rn.tokens(["a dog", "a cat"]))
    ((tokens, labels),) = list(text_batches("a dog", tiny_rn))
    assert labels == ["a dog"]
    ((again, _),) = list(text_batches(tokens, tiny_rn))
    assert torch.equal(again, tokens)


def test_what_is_no_text(tiny_rn, tmp_path):
    with pytest.raises(BadInput, match="list is empty"):
        text_batches([], tiny_rn)
    with pytest.raises(BadInput, match="take a str or several, not Image"):
        text_batches(Image.new("L", (2, 2)), tiny_rn)
    batches = text_batches(["a dog", 3], tiny_rn)
    with pytest.warns(UserWarning, match="must be a str, not int"):
        assert [labels for _, labels in batches] == [["a dog"]]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 20), st.integers(1, 9))
def test_batches_hold_everything_once_and_in_order(tiny_rn, count, batch_size):
    tensors = torch.arange(count, dtype=torch.float32).reshape(count, 1, 1, 1).expand(-1, 3, 2, 2)
    sizes, rows = [], []
    for batch, labels in image_batches(tensors, tiny_rn, batch_size=batch_size):
        assert len(batch) == len(labels)
        sizes.append(len(batch))
        rows.append(batch)
    assert torch.equal(torch.cat(rows), tensors)
    assert set(sizes[:-1]) <= {batch_size}
    assert sizes[-1] == (count - 1) % batch_size + 1


def test_a_batch_holds_something(tiny_rn):
    with pytest.raises(BadInput, match="at least 1, not 0"):
        image_batches([Image.new("L", (2, 2))], tiny_rn, batch_size=0)
