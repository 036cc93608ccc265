import numpy as np
import pytest
import torch
from PIL import Image

import lens
from lens.capture import memory
from lens.errors import BadImage, BadInput, TooLarge, UnknownSite


def capture(*args, **kwargs):
    return lens.capture(*args, progress=False, **kwargs)


@torch.no_grad()
def test_arrays_are_the_models_own(tiny_rn, pictures):
    acts = capture(tiny_rn, pictures, ["image.layer3", "image.embedding"], batch_size=2)
    assert list(acts) == ["image.layer3", "image.embedding"]
    assert acts["image.layer3"].shape == (5, 128, 4, 4)
    assert all(array.dtype == np.float32 for array in acts.values())
    expected = tiny_rn.module.encode_image(pictures)
    np.testing.assert_allclose(acts["image.embedding"], expected, atol=1e-5)
    assert acts.inputs == ["0", "1", "2", "3", "4"]


@torch.no_grad()
def test_the_batch_size_does_not_matter(tiny_vit, small_pictures):
    one, all_ = (capture(tiny_vit, small_pictures, "image.blocks.*", batch_size=n) for n in (1, 64))
    for name in one:
        np.testing.assert_allclose(one[name], all_[name], atol=1e-5)


@torch.no_grad()
def test_texts_are_read_at_their_end(tiny_rn):
    texts = ["a dog", "two large cats on a mat"]
    acts = capture(tiny_rn, texts, ["text.blocks.1", "text.embedding"])
    np.testing.assert_allclose(
        acts["text.embedding"], tiny_rn.module.encode_text(tiny_rn.tokens(texts)), atol=1e-5
    )
    assert acts.text_positions.tolist() == [3, 7]
    at_end = acts["text.blocks.1"][[0, 1], [3, 7]]
    np.testing.assert_array_equal(acts.values_of("text.blocks.1"), at_end)
    reduced = capture(tiny_rn, texts, "text.blocks.1", reduce="eot")
    np.testing.assert_allclose(reduced["text.blocks.1"], at_end, atol=1e-6)


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_reducing_is_pooling_beforehand(tiny_rn, pictures, pool):
    whole = capture(tiny_rn, pictures, "image.layer3")
    reduced = capture(tiny_rn, pictures, "image.layer3", reduce=pool, batch_size=2)
    assert reduced["image.layer3"].shape == (5, 128)
    np.testing.assert_allclose(
        reduced["image.layer3"], whole.values_of("image.layer3", pool), atol=1e-5
    )


def test_reducing_by_a_function(tiny_rn, pictures):
    found = capture(tiny_rn, pictures, "image.layer3", reduce=lambda site, t: t[:, :2].sum((2, 3)))
    whole = capture(tiny_rn, pictures, "image.layer3")["image.layer3"]
    np.testing.assert_allclose(found["image.layer3"], whole[:, :2].sum((2, 3)), rtol=1e-4)


def test_iterators_of_unknown_length_are_kept_whole(tiny_rn, pictures):
    found = capture(tiny_rn, iter(list(pictures) * 3), "image.layer4", batch_size=2)
    whole = capture(tiny_rn, pictures, "image.layer4")["image.layer4"]
    np.testing.assert_allclose(found["image.layer4"], np.tile(whole, (3, 1, 1, 1)), atol=1e-5)


def test_a_bad_input_costs_only_itself(tiny_rn, tmp_path):
    good = [Image.new("RGB", (30, 30), (i, i, i)) for i in (0, 100, 200)]
    inputs = [good[0], tmp_path / "missing.png", good[1], good[2]]
    with pytest.warns(UserWarning, match="1 of 4 inputs were skipped"):
        acts = capture(tiny_rn, inputs, "image.layer4", batch_size=2)
    np.testing.assert_allclose(
        acts["image.layer4"], capture(tiny_rn, good, "image.layer4")["image.layer4"], atol=1e-5
    )
    assert acts.inputs == ["0", "2", "3"]
    assert len(acts.skipped) == 1
    assert "1 skipped" in repr(acts)


def test_strict_keeps_what_was_done(tiny_rn, pictures, tmp_path):
    inputs = [*pictures[:3], tmp_path / "missing.png", pictures[4]]
    with pytest.raises(BadImage, match=r"missing\.png") as caught:
        capture(tiny_rn, inputs, "image.layer4", batch_size=2, strict=True)
    assert caught.value.done["image.layer4"].shape == (2, 256, 2, 2)
    assert caught.value.done.inputs == ["0", "1"]


def test_requests_that_make_no_sense(tiny_rn, pictures):
    with pytest.raises(UnknownSite, match=r"image\.layer4"):
        capture(tiny_rn, pictures, "image.layer44")
    with pytest.raises(BadInput, match="no site"):
        capture(tiny_rn, pictures, [])
    with pytest.raises(BadInput, match="cannot be captured together"):
        capture(tiny_rn, pictures, ["image.layer4", "text.blocks.0"])
    with pytest.raises(BadInput, match="not 'median'"):
        capture(tiny_rn, pictures, "image.layer4", reduce="median")
    with pytest.raises(BadInput, match="for texts"):
        capture(tiny_rn, pictures, "image.layer4", reduce="eot")
    with pytest.raises(BadInput, match=r"shape \(3, 32, 32\); it takes \(3, 64, 64\)"):
        capture(tiny_rn, torch.zeros(2, 3, 32, 32), "image.embedding")


def test_a_run_that_cannot_fit_is_refused_with_the_number(tiny_rn, pictures, monkeypatch):
    import lens.capture.run

    calls = []
    monkeypatch.setattr(memory, "available_memory", lambda: 10_000)
    monkeypatch.setattr(lens.capture.run, "Forward", lambda *args: calls.append(args))
    with pytest.raises(TooLarge, match=r"5 inputs at 1 sites would take 0\.2 MB .* 0\.0 MB.*mean"):
        capture(tiny_rn, pictures, "image.layer1")
    assert not calls


def test_the_model_is_left_as_it_was(tiny_rn, pictures):
    module = tiny_rn.module
    module.train()
    try:
        capture(tiny_rn, pictures, "image.layer4")
        assert all(child.training for child in module.modules())
        assert all(p.requires_grad and p.grad is None for p in module.parameters())
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())
    finally:
        module.eval()


def test_memory_is_told_where_linux_tells_it(tmp_path):
    free = memory.available_memory()
    assert free is None or free > 0
    (tmp_path / "max").write_text("5000\n")
    (tmp_path / "current").write_text("2000\n")
    assert memory._of_container(str(tmp_path / "max"), str(tmp_path / "current")) == 3000
    (tmp_path / "max").write_text("max\n")
    assert memory._of_container(str(tmp_path / "max"), str(tmp_path / "current")) is None


@pytest.mark.parametrize("error", [RuntimeError("disk"), KeyboardInterrupt()])
def test_a_data_set_that_fails_leaves_the_model_as_it_was(tiny_vit, small_pictures, error):
    class Broken(torch.utils.data.Dataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            if index == 4:
                raise error
            return small_pictures[index], 0

    mine = []
    block = tiny_vit.module.visual.transformer.resblocks[1]
    handle = block.register_forward_hook(lambda *_: mine.append(1))
    try:
        with pytest.raises(type(error)):
            capture(tiny_vit, Broken(), ["image.blocks.*", "image.*.pattern"], batch_size=2)
        assert mine == [1, 1]
        assert [len(m._forward_hooks) for m in tiny_vit.module.modules()].count(1) == 1
        assert not any(m._forward_pre_hooks for m in tiny_vit.module.modules())
        assert not torch.overrides._get_current_function_mode_stack()
    finally:
        handle.remove()
