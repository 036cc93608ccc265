"""One clear sentence for what cannot be done."""

import subprocess
import sys

import pytest
import torch

import lens
from lens.errors import BadInput, UnknownSite

REFUSED = [
    ({"method": "integrated_gradient"}, r"no method .* Did you mean integrated_gradients"),
    ({"method": "lime"}, r"no method 'lime'"),
    ({"method": 3}, "named by a str"),
    ({"method": "saliency", "steps": 3}, "saliency has no option 'steps'; it has none"),
    ({"method": "grad_cam", "steps": 3}, "it has site, relu"),
    ({"baseline": "blck"}, "no baseline 'blck'. Did you mean black"),
    ({"baseline": torch.zeros(3, 8, 8)}, r"baseline has the shape \(3, 8, 8\)"),
    ({"steps": 0}, "steps is a whole number"),
    ({"batch_size": 0}, "batch_size is a whole number"),
    ({"method": "occlusion", "window": 99}, "does not fit"),
    ({"method": "occlusion", "window": 4, "stride": 9}, "leaves gaps"),
    ({"method": "feature_ablation", "patches": 99}, "more than 64 x 64 pixels"),
    ({"method": "kernel_shap", "samples": 20}, "need more than 20 samples"),
    ({"method": "smooth_grad", "noise": -1.0}, "noise is a share"),
    ({"method": "grad_cam", "site": "text.blocks.0"}, "text tower"),
    ({"method": "grad_cam", "site": "image.embedding"}, "has no map"),
    ({"method": "grad_cam", "site": 4}, "a name or a site"),
    ({"explain": "words"}, "explain is 'image' or 'text'"),
    ({"explain": "text", "method": "grad_cam"}, "explains pictures; texts have"),
    ({"explain": "text", "text": None}, "no text to explain"),
    ({"text": None}, "What shall be explained"),
    ({"text": None, "image": None}, "no picture to explain"),
    ({"target": "a cat"}, "none of the 1 texts"),
    ({"target": 1}, "the texts 0 to 0, not 1"),
    ({"target": object()}, "a unit, a number or a text"),
    ({"output": "odds"}, "no output 'odds'"),
    ({"output": "probability"}, "needs several texts"),
    ({"pool": "max"}, "the target is none"),
    ({"image": [torch.zeros(3, 64, 64)] * 2}, "One picture"),
    ({"image": torch.zeros(64, 64)}, "a picture is"),
]


@pytest.mark.parametrize("asked, sentence", REFUSED)
def test_refused(tiny_rn, picture, asked, sentence):
    with pytest.raises(BadInput, match=sentence) as caught:
        lens.attribute(tiny_rn, **{"image": picture, "text": "a dog", **asked})
    assert len(str(caught.value).splitlines()) == 1


def test_refused_about_units_and_sites(tiny_rn, tiny_vit, picture):
    unit = tiny_rn.site("image.layer2").unit(1)
    with pytest.raises(BadInput, match="another model"):
        lens.attribute(tiny_vit, picture, target=unit)
    with pytest.raises(BadInput, match="does not run before"):
        lens.attribute(tiny_rn, picture, target=unit, method="grad_cam", site="image.layer3")
    with pytest.raises(BadInput, match="leave out output"):
        lens.attribute(tiny_rn, picture, target=unit, output="logit")
    with pytest.raises(BadInput, match="no pool 'median'"):
        lens.attribute(tiny_rn, picture, target=unit, pool="median")
    with pytest.raises(BadInput, match="no class token"):
        lens.attribute(tiny_rn, picture, target=unit, pool="cls")
    with pytest.raises(BadInput, match="in the image tower"):
        lens.attribute(tiny_rn, picture, "a dog", target=unit, explain="text")
    with pytest.raises(UnknownSite, match="Did you mean"):
        lens.attribute(tiny_rn, picture, "a dog", "grad_cam", site="image.layr4")
    with pytest.raises(BadInput, match="model of lens"):
        lens.attribute(tiny_rn.module, picture, "a dog")


def test_refused_about_classifiers(plain):
    model, given = plain["torchvision-resnet"], torch.randn(3, 64, 64)
    with pytest.raises(BadInput, match="outputs 0 to 5, not 207"):
        lens.attribute(model, given, target=207)
    with pytest.raises(BadInput, match="reads no text"):
        lens.attribute(model, given, "a dog")
    with pytest.raises(BadInput, match="no cosine"):
        lens.attribute(model, given, target=1, output="cosine")
    best = lens.attribute(model, given, method="saliency")
    with torch.no_grad():
        top = int(model.run("image", given[None]).argmax())
    assert best.target == f"logit of output {top}"


def test_the_room_is_cheap_to_enter():
    code = (
        "import sys, lens; lens.attribution; "
        "print([m for m in ('torch', 'captum') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
