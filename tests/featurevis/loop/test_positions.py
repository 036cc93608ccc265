import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F

from lens.errors import BadInput
from lens.featurevis import objectives as o
from lens.featurevis import visualize
from lens.featurevis.loop.positions import stretched
from lens.opening import wrap


def images(*size: int) -> torch.Tensor:
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))


def test_it_is_what_a_model_with_resized_positions_computes(vit):
    visual = vit.module.visual
    table = visual.positional_embedding.data
    before = table.clone()
    with torch.no_grad(), stretched(vit, (48, 64)):
        got = vit.run("image", images(48, 64))
    assert visual.positional_embedding.data is not None
    assert torch.equal(visual.positional_embedding, before)

    maps = before[1:].reshape(1, 4, 4, -1).permute(0, 3, 1, 2)
    wider = F.interpolate(maps, (6, 8), mode="bicubic", antialias=True)[0].flatten(1).T
    kept = visual.positional_embedding
    visual.positional_embedding = torch.nn.Parameter(torch.cat([before[:1], wider]))
    try:
        with torch.no_grad():
            torch.testing.assert_close(got, vit.run("image", images(48, 64)))
    finally:
        visual.positional_embedding = kept


@pytest.mark.parametrize("options", [
    {"reg_tokens": 3}, {"class_token": False, "global_pool": "avg"}, {"no_embed_class": True},
    {"dynamic_img_size": True},
])  # fmt: skip
def test_timm_is_as_with_its_own_resizing(options):
    torch.manual_seed(0)
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}
    module = timm.models.VisionTransformer(num_classes=5, **shape, **options).eval()
    torch.nn.init.normal_(module.pos_embed)
    model = wrap(module, name="timm", example=torch.zeros(2, 3, 32, 32))
    with torch.no_grad(), stretched(model, (48, 64)):
        got = model.run("image", images(48, 64))
    own = timm.models.VisionTransformer(
        num_classes=5, **{**shape, **options, "dynamic_img_size": True}
    ).eval()
    own.load_state_dict(module.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(got, own(images(48, 64)), rtol=1e-4, atol=1e-5)
    strict = options.get("dynamic_img_size") is not True
    assert module.patch_embed.strict_img_size is strict


def test_visualizations_of_another_size(vit, resnet):
    unit = vit.site("image.blocks.1").unit(3)
    vis = visualize([unit, o.unit(unit, at=(5, 7))], size=(48, 64), steps=8, progress=False)
    assert vis.images.shape == (2, 48, 64, 3) and not vis.silent
    with pytest.raises(BadInput, match="6 x 8 places here, none at"):
        visualize(unit, at=(6, 0), size=(48, 64), steps=1, progress=False)
    pooled = resnet.site("image.embedding").unit(0)
    assert visualize(pooled, size=64, steps=4, progress=False).images.shape == (1, 64, 64, 3)
    with pytest.raises(BadInput, match="multiples of 8 pixels here, not 44 x 44"):
        visualize(unit, size=44, progress=False)


def test_at_its_own_size_nothing_happens(vit):
    with torch.no_grad(), stretched(vit, (32, 32)):
        got = vit.run("image", images(32, 32))
    with torch.no_grad():
        assert torch.equal(got, vit.run("image", images(32, 32)))
    assert np.isfinite(got.numpy()).all()
