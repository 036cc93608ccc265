import copy

import numpy as np
import pytest
import torch

from lens.errors import BadInput
from lens.featurevis import objectives as o
from lens.featurevis.wording.scores import KEPT, joint_direction, scorer

TEXTS = ["cat", "dog", "a", "zebra"]


@pytest.fixture
def pictures():
    batch = torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return list(batch)


def test_in_the_joint_space_a_unit_is_its_coordinate(resnet):
    score = scorer(resnet.site("image.embedding").unit(5))
    np.testing.assert_allclose(score(TEXTS), resnet.embed(TEXTS)[:, 5], atol=1e-6)


def test_a_similarity_is_the_cosine(resnet):
    got = scorer(o.similarity(resnet, "dog"))(TEXTS)
    np.testing.assert_allclose(got, resnet.embed(TEXTS) @ resnet.embed(["dog"])[0], atol=1e-5)


def test_the_map_is_the_jacobian(resnet, pictures):
    """Against autograd in float64, one output at a time, with the norm held fixed."""
    site, unit = resnet.site("image.layer4"), 7
    visual = copy.deepcopy(resnet.module.visual).double()
    x = torch.stack(pictures).double()
    with torch.no_grad():
        stage = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(x)))))
    values = stage[:, unit].mean((1, 2))
    best = values.argsort(descending=True)[:KEPT]
    stage = stage[best].requires_grad_(True)
    embedded = visual.attnpool(stage)
    norm = embedded.detach().norm(dim=1)
    rows = []
    for k in range(embedded.shape[1]):
        slope = torch.autograd.grad(embedded[:, k].sum(), stage, retain_graph=True)[0]
        rows.append((slope[:, unit].sum((1, 2)) / norm).mean() * values.std())
    expected = torch.stack(rows).numpy()
    got = joint_direction(site, np.eye(site.n_units)[unit], images=pictures)
    assert np.abs(got - expected).max() < 0.03 * np.abs(expected).max()
    np.testing.assert_allclose(
        scorer(site.unit(unit), images=pictures)(TEXTS), resnet.embed(TEXTS) @ got, atol=1e-6
    )
    # What an objective climbs before the ReLU is the same unit after it.
    same = scorer(o.unit(site.unit(unit)), images=pictures)(TEXTS)
    np.testing.assert_allclose(same, resnet.embed(TEXTS) @ got, atol=1e-6)


def test_units_of_the_text_tower(resnet):
    seen = {}

    def keep(module, args, output):
        seen["block"] = output.detach()

    block = resnet.module.transformer.resblocks[0]
    tokens = resnet.tokens(TEXTS)
    handle = block.register_forward_hook(keep)
    with torch.no_grad():
        resnet.module.encode_text(tokens)
    handle.remove()
    values = seen["block"][:, :, 3].numpy()
    ends = tokens.argmax(1).numpy()
    site = resnet.site("text.blocks.0")
    np.testing.assert_allclose(scorer(site.unit(3))(TEXTS), values[np.arange(4), ends], atol=1e-5)
    largest = [row[: end + 1].max() for row, end in zip(values, ends, strict=True)]
    np.testing.assert_allclose(scorer(site.unit(3), at="max")(TEXTS), largest, atol=1e-5)
    one_hot = np.eye(site.n_units)[3]
    np.testing.assert_allclose(
        scorer(o.direction(site, 2 * one_hot))(TEXTS), 2 * values[np.arange(4), ends], atol=1e-5
    )
    joint = resnet.site("text.embedding")
    with torch.no_grad():
        embedded = resnet.module.encode_text(tokens)
    np.testing.assert_allclose(scorer(joint.unit(2))(TEXTS), embedded[:, 2], atol=1e-5)


def test_transformers(vit, resnet):
    with pytest.raises(BadInput, match="reads no text"):
        scorer(vit.site("image.blocks.0").unit(0))


def test_no_hook_stays(resnet, pictures):
    joint_direction(resnet.site("image.layer3"), np.eye(128)[0], images=pictures[:4])
    assert not any(part._forward_hooks for part in resnet.module.modules())


def test_what_is_refused(colours, resnet, pictures):
    with pytest.raises(BadInput, match="colours reads no text"):
        scorer(colours.site("0").unit(0))
    with pytest.raises(BadInput, match="not for the objective"):
        scorer(o.unit(resnet.site("image.layer4").unit(0)) - o.l1())
    with pytest.raises(BadInput, match="not for int 17"):
        scorer(17)
    with pytest.raises(BadInput, match="'end' or 'max'"):
        scorer(resnet.site("text.blocks.0").unit(0), at="mean")
    with pytest.raises(BadInput, match="list is empty"):
        scorer(resnet.site("image.layer4").unit(0), images=[])
