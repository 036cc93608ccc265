"""Every method runs on every kind of model, and leaves it as it was."""

import numpy as np
import pytest
import torch

import lens
from lens.attribution import methods
from lens.errors import BadInput

ALL = list(methods()["method"])
QUICK = {
    "integrated_gradients": {"steps": 3},
    "smooth_grad": {"samples": 2},
    "occlusion": {"window": 16, "stride": 16},
    "feature_ablation": {"patches": 2},
    "kernel_shap": {"patches": 2, "samples": 8},
    "layer_integrated_gradients": {"steps": 3},
    "layer_conductance": {"steps": 3},
    "layer_internal_influence": {"steps": 3},
}


def state(model):
    """What a look must not change."""
    return [
        (
            name,
            module.training,
            list(module._forward_hooks),
            list(module._forward_pre_hooks),
            list(module._backward_hooks),
            [(p.requires_grad, p.grad is None, p._version) for p in module.parameters(False)],
        )
        for name, module in model.module.named_modules()
    ] + [len(model._on_result)]


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("which", ["tiny_rn", "tiny_vit", "tiny_coca"])
def test_clips(request, which, method, picture, small_picture):
    model = request.getfixturevalue(which)
    given = picture if which == "tiny_rn" else small_picture
    before = state(model)
    ask = lambda: lens.attribute(model, given, "a dog", method, **QUICK.get(method, {}))  # noqa: E731
    if method == "guided_backprop" and which != "tiny_rn":
        with pytest.raises(BadInput, match="no ReLU"):
            ask()
    else:
        found = ask()
        assert found.heat.shape == given.shape[1:] and found.heat.dtype == np.float32
        assert np.isfinite(found.heat).all() and found.heat.any()
        assert repr(found) and "<img" in found._repr_html_()
    assert state(model) == before


@pytest.mark.parametrize("method", ["grad_cam", "layer_integrated_gradients", "layer_conductance",
                                    "guided_backprop", "saliency"])  # fmt: skip
@pytest.mark.parametrize("which", ["torchvision-resnet", "torchvision-vit", "timm-resnet"])
def test_classifiers(plain, which, method, picture, small_picture):
    model = plain[which]
    given = small_picture if "vit" in which else picture
    ask = lambda: lens.attribute(model, given, method=method, target=3, **QUICK.get(method, {}))  # noqa: E731
    if (method, which) == ("guided_backprop", "torchvision-vit"):
        with pytest.raises(BadInput, match="no ReLU"):
            ask()
        return
    found = ask()
    with torch.no_grad():
        assert found.score == pytest.approx(float(model.run("image", given[None])[0, 3]), abs=1e-5)
    assert found.heat.shape == given.shape[1:] and found.heat.any()
    assert found.target == "logit of output 3"


def test_a_site_whose_module_runs_twice(plain, picture):
    model, given = plain["torchvision-resnet"], picture
    site = model.site("image.layer4.0.pre_relu")
    assert site.calls == 2
    found = lens.attribute(
        model, given, method="layer_integrated_gradients", target=0, site=site, steps=30
    )
    assert abs(found.delta) < 1e-3


def test_what_depends_on_nothing_is_said_to(plain, picture):
    model = plain["torchvision-resnet"]
    with lens.edit.zero(model.site("fc")):
        with pytest.raises(BadInput, match="no place with a map that logit of output 3 depends on"):
            lens.attribute(model, picture, method="grad_cam", target=3)
        assert "zero everywhere" in repr(lens.attribute(model, picture, target=3, steps=2))


def test_a_bare_stack_of_convolutions_has_a_default_site():
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(inplace=True), torch.nn.Conv2d(4, 5, 3),
        torch.nn.ReLU(inplace=True), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
    )  # fmt: skip
    model = lens.wrap(net, example=torch.zeros(1, 3, 16, 16))
    found = lens.attribute(model, torch.randn(3, 16, 16), method="grad_cam", relu=False)
    assert found.site == "2" and found.places.shape == (12, 12)


@pytest.mark.parametrize("which", ["tiny_rn", "tiny_custom", "tiny_coca"])
@pytest.mark.parametrize("method", ["integrated_gradients", "saliency", "input_x_gradient",
                                    "occlusion", "layer_integrated_gradients"])  # fmt: skip
def test_texts(request, recwarn, which, method, picture, small_picture):
    model = request.getfixturevalue(which)
    given = picture if which == "tiny_rn" else small_picture
    before = state(model)
    found = lens.attribute(model, given, "a big dog", method, explain="text")
    assert found.tokens[1:4] == ["a", "big", "dog"] and len(found.scores) == 5
    assert found.scores[1:4].any()
    assert state(model) == before
    assert not [w for w in recwarn if "radient" in str(w.message)]


def test_modes_gradients_and_switched_off_graphs(fresh_clip, picture):
    import open_clip

    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    model = lens.wrap(fresh_clip("rn").train(), tokenizer=tokenizer)
    for weight in model.module.visual.layer1.parameters():
        weight.requires_grad_(False)
    kept = model.module.visual.layer2[0].conv1.weight
    kept.grad = torch.ones_like(kept)
    before = state(model)
    normal = lens.attribute(model, picture, "a dog", "grad_cam")
    with torch.inference_mode():
        inferred = lens.attribute(model, picture.clone(), "a dog", "grad_cam")
    with torch.no_grad():
        silent = lens.attribute(model, picture, "a dog", "grad_cam")
    np.testing.assert_array_equal(normal.heat, inferred.heat)
    np.testing.assert_array_equal(normal.heat, silent.heat)
    assert state(model) == before and (kept.grad == 1).all() and not picture.requires_grad


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("method", ["integrated_gradients", "grad_cam",
                                    "layer_integrated_gradients", "guided_backprop"])  # fmt: skip
def test_nothing_stays_behind_after_an_error(tiny_rn, picture, method, error):
    calls = []

    def trouble(module, args, output):
        calls.append(1)
        if len(calls) > 1:
            raise error("stop")

    tiny_rn.site("image.layer4")  # tried before the trouble starts
    handle = tiny_rn.module.visual.attnpool.register_forward_hook(trouble)
    try:
        before = state(tiny_rn)
        with pytest.raises(error):
            lens.attribute(tiny_rn, picture, "a dog", method)
        assert state(tiny_rn) == before
    finally:
        handle.remove()
