"""Every method against a computation that is written out here, in double precision."""

import numpy as np
import pytest
import torch
from torch import nn

import lens
from lens.attribution import baselines, tokens

TEXT = "a dog"


def cosine(model, batch, text=TEXT):
    with torch.no_grad():
        of_text = model.module.encode_text(model.tokenizer([text]))
    return nn.functional.cosine_similarity(model.module.encode_image(batch), of_text)


def gradient(score, pixels):
    pixels = pixels.clone().requires_grad_()
    return torch.autograd.grad(score(pixels).sum(), pixels)[0]


def test_saliency_and_input_x_gradient_are_the_gradient(exact_rn, picture):
    x = picture.double()[None]
    slope = gradient(lambda p: cosine(exact_rn, p), x)[0]
    found = lens.attribute(exact_rn, picture, TEXT, "saliency")
    np.testing.assert_allclose(found.heat, slope.abs().amax(0), rtol=1e-5, atol=1e-9)
    found = lens.attribute(exact_rn, picture, TEXT, "input_x_gradient")
    np.testing.assert_allclose(found.heat, (slope * x[0]).sum(0), rtol=1e-4, atol=1e-8)
    assert found.score == pytest.approx(cosine(exact_rn, x).item(), abs=1e-12)
    assert (found.delta, found.baseline_score) == (None, None)


def test_integrated_gradients_are_a_gauss_legendre_sum(exact_vit, small_picture):
    x = small_picture.double()[None]
    ground = exact_vit.normalize(torch.ones_like(x))
    nodes, weights = np.polynomial.legendre.leggauss(20)
    mean = sum(
        w / 2 * gradient(lambda p: cosine(exact_vit, p), ground + (1 + t) / 2 * (x - ground))
        for t, w in zip(nodes, weights, strict=True)
    )
    found = lens.attribute(exact_vit, small_picture, TEXT, baseline="white", steps=20, batch_size=7)
    expected = ((x - ground) * mean)[0].sum(0)
    np.testing.assert_allclose(found.heat, expected, rtol=1e-4, atol=1e-7)
    assert found.baseline_score == pytest.approx(cosine(exact_vit, ground).item(), abs=1e-12)
    difference = found.score - found.baseline_score
    assert found.delta == pytest.approx(float(expected.sum()) - difference, abs=1e-9)
    assert abs(found.delta) < 1e-3 * abs(difference) + 1e-6


def test_integrated_gradients_converge_with_steps(exact_vit, small_picture):
    few, many = (
        abs(lens.attribute(exact_vit, small_picture, TEXT, steps=steps).delta) for steps in (4, 64)
    )
    assert many < few and many < 1e-5


def test_smooth_grad_is_the_mean_of_noisy_gradients(exact_vit, small_picture):
    options = {"samples": 5, "noise": 0.1}
    one = lens.attribute(exact_vit, small_picture, TEXT, "smooth_grad", **options, seed=4)
    before = torch.get_rng_state()
    two = lens.attribute(
        exact_vit, small_picture, TEXT, "smooth_grad", **options, seed=4, batch_size=5
    )
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_allclose(one.heat, two.heat, rtol=1e-4, atol=1e-7)
    x = small_picture.double()[None]
    spread = float(x.max() - x.min()) * 0.1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        noisy = x + torch.normal(0, torch.full((5, *x.shape[1:]), spread))
    mean = gradient(lambda p: cosine(exact_vit, p), noisy).mean(0)
    np.testing.assert_allclose(one.heat, mean.abs().amax(0), rtol=1e-3, atol=1e-6)


def test_occlusion_is_a_loop_over_windows(exact_rn, picture):
    x = picture.double()[None]
    total, count = torch.zeros(64, 64), torch.zeros(64, 64)
    with torch.no_grad():
        whole = cosine(exact_rn, x)
        for top in range(0, 64 - 16 + 1, 16):
            for left in range(0, 64 - 24 + 1, 20):
                covered = x.clone()
                covered[..., top : top + 16, left : left + 24] = 0
                total[top : top + 16, left : left + 24] += float(whole - cosine(exact_rn, covered))
                count[top : top + 16, left : left + 24] += 1
    found = lens.attribute(
        exact_rn, picture, TEXT, "occlusion", window=(16, 24), stride=(16, 20), batch_size=5
    )
    np.testing.assert_allclose(found.heat, total / count, rtol=1e-4, atol=1e-7)


def test_ablated_patches_are_a_loop_and_shapley_values_add_up(exact_vit, small_picture):
    x = small_picture.double()[None]
    found = lens.attribute(exact_vit, small_picture, TEXT, "feature_ablation", patches=(2, 4))
    assert found.places.shape == (2, 4)
    covered = x.clone()
    covered[..., 16:, 8:16] = 0
    with torch.no_grad():
        fall = cosine(exact_vit, x) - cosine(exact_vit, covered)
    assert found.places[1, 1] == pytest.approx(float(fall), abs=1e-7)
    assert (found.heat[16:, 8:16] == found.places[1, 1]).all()
    shap = lens.attribute(exact_vit, small_picture, TEXT, "kernel_shap", patches=2, samples=64)
    assert abs(shap.delta) < 1e-4


def test_kernel_shap_of_two_patches_are_shapley_values(exact_vit, small_picture):
    x = small_picture.double()[None]
    left, right, none = x.clone(), x.clone(), torch.zeros_like(x)
    left[..., 16:], right[..., :16] = 0, 0
    with torch.no_grad():
        f = {k: float(cosine(exact_vit, v)) for k, v in
             {"lr": x, "l": left, "r": right, "": none}.items()}  # fmt: skip
    expected = [(f["l"] - f[""] + f["lr"] - f["r"]) / 2, (f["r"] - f[""] + f["lr"] - f["l"]) / 2]
    found = lens.attribute(
        exact_vit, small_picture, TEXT, "kernel_shap", patches=(1, 2), samples=200
    )
    # The random subsets come unevenly often, which the regression weighs; the sum is exact.
    np.testing.assert_allclose(found.places[0], expected, atol=0.1 * max(map(abs, expected)))


@pytest.mark.parametrize("relu", [True, False])
def test_grad_cam_of_a_residual_network(exact_rn, picture, relu):
    kept = []
    handle = exact_rn.module.visual.layer4.register_forward_hook(lambda m, a, o: kept.append(o))
    try:
        value = cosine(exact_rn, picture.double()[None])
    finally:
        handle.remove()
    (slope,) = torch.autograd.grad(value.sum(), kept[0])
    cam = (slope.mean((2, 3), keepdim=True) * kept[0]).sum(1)[0].detach()
    found = lens.attribute(exact_rn, picture, TEXT, "grad_cam", relu=relu)
    assert found.site == "image.layer4"
    np.testing.assert_allclose(found.places, cam.relu() if relu else cam, rtol=1e-5, atol=1e-9)
    assert found.heat.shape == (64, 64)


def test_grad_cam_of_a_transformer_leaves_the_class_token_out(exact_vit, small_picture):
    kept = []
    block = exact_vit.module.visual.transformer.resblocks[1]
    handle = block.register_forward_hook(lambda m, a, o: kept.append(o))
    try:
        value = cosine(exact_vit, small_picture.double()[None])
    finally:
        handle.remove()
    (slope,) = torch.autograd.grad(value.sum(), kept[0])
    patches, weights = kept[0][0, 1:].detach(), slope[0, 1:].mean(0)
    found = lens.attribute(exact_vit, small_picture, TEXT, "grad_cam", relu=False)
    # Only the class token is read after the last block: its patches do not matter.
    assert found.site == "image.blocks.1"
    np.testing.assert_allclose(found.places, (patches @ weights).reshape(4, 4), rtol=1e-5)


@pytest.mark.parametrize(
    "site",
    ["visual.layer4.0.bn3", "image.layer4.1.pre_relu", "image.layer3", "visual.layer4.0.act1"],
)
def test_sites_before_in_place_steps_have_the_right_slope(exact_rn, picture, site):
    """The sum of gradient times value is the slope of the score as the site is scaled."""
    where, h = exact_rn.site(site), 1e-5
    values = []
    for factor in (1 + h, 1 - h):
        with lens.edit.scale(where, factor), torch.no_grad():
            values.append(float(cosine(exact_rn, picture.double()[None])))
    found = lens.attribute(exact_rn, picture, TEXT, "layer_grad_x_activation", site=where)
    total = float(found.places.astype(np.float64).sum())
    assert total == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-3, abs=1e-7)


@pytest.mark.parametrize("site", ["image.blocks.0", "image.blocks.2", "image.blocks.1.mlp.neurons"])
def test_layer_integrated_gradients_are_complete_at_any_site(exact_vit, small_picture, site):
    found = lens.attribute(
        exact_vit, small_picture, TEXT, "layer_integrated_gradients", site=site, steps=40
    )
    total = float(found.places.astype(np.float64).sum()) + found.elsewhere
    assert total == pytest.approx(found.score - found.baseline_score, abs=1e-5)
    assert abs(found.delta) < 1e-5
    assert found.elsewhere != 0  # the class token's share
    ground = exact_vit.placed(torch.zeros(1, 3, 32, 32))
    with lens.edit.patch(exact_vit.site(site), ground), torch.no_grad():
        patched = float(cosine(exact_vit, small_picture.double()[None]))
    assert found.baseline_score == pytest.approx(patched, abs=1e-6)


def test_conductance_is_complete_where_everything_passes(exact_vit, small_picture):
    ask = lambda site: lens.attribute(  # noqa: E731
        exact_vit, small_picture, TEXT, "layer_conductance", site=site, steps=200
    )
    found = ask("image.blocks.1")
    assert abs(found.delta) < 0.1 * abs(found.score - found.baseline_score) + 1e-4
    assert ask("image.blocks.1.mlp.neurons").delta is None


def test_log_odds_among_texts(exact_rn, picture):
    texts = ["a dog", "a cat", "a red bus"]
    x = picture.double()[None]

    def odds(p):
        scale = exact_rn.module.logit_scale.exp()
        logits = scale * torch.stack([cosine(exact_rn, p, text) for text in texts], 1)
        return (logits.softmax(1)[:, 1] / (1 - logits.softmax(1)[:, 1])).log()

    found = lens.attribute(exact_rn, picture, texts, "saliency", target="a cat")
    expected = gradient(odds, x)[0].abs().amax(0)
    np.testing.assert_allclose(found.heat, expected, rtol=1e-4, atol=1e-8)
    assert found.score == pytest.approx(odds(x).item(), abs=1e-9)
    shares = [
        lens.attribute(exact_rn, picture, texts, "saliency", target=i, output="probability").score
        for i in range(3)
    ]
    assert sum(shares) == pytest.approx(1)


def test_guided_backprop_drops_negative_slopes_at_each_relu():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.act = nn.ReLU(inplace=True)
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            y = self.act(self.conv(x))
            return self.head(torch.relu(y + 1).mean((2, 3)))

    torch.manual_seed(0)
    net = Net().double()
    model = lens.wrap(net, example=torch.zeros(1, 3, 8, 8))
    x = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    found = lens.attribute(model, x, method="guided_backprop", target=1)
    inner = net.conv(x).detach().requires_grad_()
    share = net.head.weight[1][None, :, None, None].clamp(min=0) / 36
    (pulled,) = torch.autograd.grad(
        net.conv(y := x.clone().requires_grad_()), y, share * (inner > 0)
    )
    np.testing.assert_allclose(found.heat, pulled[0].sum(0).detach(), rtol=1e-5, atol=1e-9)


def test_a_unit_and_an_edit(exact_rn, picture):
    unit = exact_rn.site("image.layer3").unit(5)
    found = lens.attribute(exact_rn, picture, method="input_x_gradient", target=unit)
    kept = []
    handle = exact_rn.module.visual.layer3.register_forward_hook(lambda m, a, o: kept.append(o))
    try:

        def value(pixels):
            exact_rn.module.encode_image(pixels)
            return kept[-1][:, 5].mean((1, 2))

        slope = gradient(value, picture.double()[None])
    finally:
        handle.remove()
    expected = (slope * picture.double()).sum(1)[0]
    np.testing.assert_allclose(found.heat, expected, rtol=1e-4, atol=1e-8)
    with lens.edit.zero(unit):
        gone = lens.attribute(exact_rn, picture, method="input_x_gradient", target=unit)
    assert gone.score == 0 and not gone.heat.any()
    assert "zero everywhere" in repr(gone)


def test_an_edit_is_part_of_what_is_explained(exact_rn, picture):
    site = exact_rn.site("image.layer4")
    plain = lens.attribute(exact_rn, picture, TEXT, "grad_cam", relu=False)
    with lens.edit.zero(site.units(range(0, site.n_units, 2))):
        edited = lens.attribute(exact_rn, picture, TEXT, "grad_cam", relu=False)
        with torch.no_grad():
            assert edited.score == pytest.approx(float(cosine(exact_rn, picture.double()[None])))
    assert edited.score != plain.score
    assert abs(edited.places - plain.places).max() > 0


def test_tokens_by_integrated_gradients_and_by_a_loop(exact_rn, picture):
    text = "a big red dog"
    found = lens.attribute(exact_rn, picture, text, explain="text", steps=30)
    assert found.tokens == ["<start_of_text>", "a", "big", "red", "dog", "<end_of_text>"]
    assert found.scores[0] == found.scores[-1] == 0
    assert abs(found.delta) < 1e-6 and found.elsewhere == 0
    module, ids = exact_rn.module, exact_rn.tokens([text])
    ground = ids.clone()
    ground[0, 1:5] = 0
    with torch.no_grad():
        of_image = module.encode_image(picture.double()[None])
        start, end = module.token_embedding(ground), module.token_embedding(ids)
    given = []
    handle = module.token_embedding.register_forward_hook(lambda m, a, o: given[-1])
    try:

        def score(rows):
            given.append(rows)
            made = module.encode_text(ids.expand(len(rows), -1))
            return nn.functional.cosine_similarity(made, of_image)

        nodes, weights = np.polynomial.legendre.leggauss(30)
        mean = sum(
            w / 2 * gradient(score, start + (1 + t) / 2 * (end - start))
            for t, w in zip(nodes, weights, strict=True)
        )
    finally:
        handle.remove()
    expected = ((end - start) * mean).sum(-1)[0, :6]
    np.testing.assert_allclose(found.scores, expected, rtol=1e-4, atol=1e-7)

    left_out = lens.attribute(exact_rn, picture, text, "occlusion", explain="text", batch_size=3)
    without = ids.clone()
    without[0, 4] = 0
    with torch.no_grad():
        fall = [nn.functional.cosine_similarity(module.encode_text(t), of_image)
                for t in (ids, without)]  # fmt: skip
    assert left_out.scores[4] == pytest.approx(float(fall[0] - fall[1]), abs=1e-7)


def test_a_text_among_others_and_a_unit_of_the_text_tower(exact_vit, small_picture):
    texts = ["a dog", "a cat"]
    of_text = lens.attribute(exact_vit, small_picture, texts, target=1, explain="text")
    of_image = lens.attribute(exact_vit, small_picture, texts, "saliency", target=1)
    assert of_text.score == pytest.approx(of_image.score, abs=1e-9)
    assert of_text.tokens[2] == "cat"
    unit = exact_vit.site("text.blocks.1").unit(3)
    found = lens.attribute(exact_vit, text="a dog", target=unit)
    with lens.capture.hooks.record([unit.site]) as taps, torch.no_grad():
        block = taps.forward(exact_vit.tokens(["a dog"]))["text.blocks.1"]
    assert found.score == pytest.approx(float(block[0, 3, 3]))  # at the end-of-text token
    assert abs(found.delta) < 1e-4


def test_baselines(exact_vit, small_picture):
    x = small_picture.double()[None]
    black = baselines.baseline_like(exact_vit, x, "black")
    torch.testing.assert_close(black[0, :, 0, 0].float(), -exact_vit.mean / exact_vit.std)
    blur = baselines.baseline_like(exact_vit, x, "blur")
    assert blur.shape == x.shape and blur.std() < 0.3 * x.std()
    other = torch.full((3, 32, 32), 0.5)
    assert torch.equal(baselines.baseline_like(exact_vit, x, other), other.double()[None])


def test_words_stand_in_where_a_tokenizer_cannot_decode(exact_rn):
    tokenizer = exact_rn.tokenizer
    model = lens.model.Model(
        exact_rn.module, exact_rn._family, name="closed", tokenizer=lambda texts: tokenizer(texts)
    )
    text = "a mountainbiker rides"
    named = tokens.readable(model, text, model.tokens([text]))
    assert named[1] == "a" and named[-2] == "rides" and named[2].startswith("mountainbiker 1/")
    assert named[0].startswith("#")


@pytest.mark.parametrize("part", ["heads", "q"])
def test_a_part_of_attention_explains_like_any_site(exact_vit, small_picture, part):
    site = exact_vit.site(f"image.blocks.1.attention.{part}")
    with lens.trace(exact_vit, site, gradients=True) as seen:
        value = cosine_of_run(exact_vit, small_picture)
    slope = seen.gradients(value)[site.name]
    expected = (slope * seen[site.name]).sum((1, 3))[0, 1:]  # without the class token
    found = lens.attribute(exact_vit, small_picture, TEXT, "layer_grad_x_activation", site=site)
    np.testing.assert_allclose(
        found.places.ravel(), expected.detach().numpy(), rtol=1e-3, atol=1e-7
    )


def cosine_of_run(model, picture):
    with torch.no_grad():
        of_text = model.module.encode_text(model.tokenizer([TEXT]))
    return nn.functional.cosine_similarity(model.run("image", picture[None]), of_text)
