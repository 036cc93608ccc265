"""What is taken is what the model computed, nothing runs too far, and nothing is left behind."""

import pytest
import torch
from torch import nn

import lens
from lens.capture.hooks import forward_to, record
from lens.errors import BadInput


def starts_and_ends(module, run):
    """Log which modules start and end, by hooks on all of them, until the run is over."""
    log, names = [], {m: n for n, m in module.named_modules()}
    handles = [
        hook
        for m in names
        for hook in (
            m.register_forward_pre_hook(lambda m, a: log.append(("start", names[m]))),
            m.register_forward_hook(lambda m, a, o: log.append(("end", names[m]))),
        )
    ]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return log


def hooks_of(module):
    return [
        (name, list(m._forward_hooks), list(m._forward_pre_hooks))
        for name, m in module.named_modules()
    ]


def by_hand(block, x):
    """A residual block, computed without any in-place step."""
    out = block.bn1(block.conv1(x)).relu()
    out = block.bn2(block.conv2(out)).relu()
    bn3 = block.bn3(block.conv3(block.avgpool(out)))
    before = bn3 + (block.downsample(x) if block.downsample is not None else x)
    return bn3, before


@torch.no_grad()
def test_values_are_the_models_own_though_it_overwrites_them(tiny_rn, pictures):
    """bn3 is overwritten by `out +=`, its sum by an in-place ReLU."""
    names = ["visual.layer3", "visual.layer4.0.bn3", "image.layer4.0.pre_relu", "image.layer4.0",
             "image.layer4.1.pre_relu", "image.layer4"]  # fmt: skip
    taken = forward_to(tiny_rn.sites(names), pictures)
    assert set(taken) == set(names)
    visual = tiny_rn.module.visual
    bn3, before = by_hand(visual.layer4[0], taken["visual.layer3"])
    _, last = by_hand(visual.layer4[1], before.relu())
    expected = {
        "visual.layer4.0.bn3": bn3,
        "image.layer4.0.pre_relu": before,
        "image.layer4.0": before.relu(),
        "image.layer4.1.pre_relu": last,
        "image.layer4": last.relu(),
    }
    for name, value in expected.items():
        torch.testing.assert_close(taken[name], value, rtol=1e-5, atol=1e-5)
    assert (taken["image.layer4.1.pre_relu"] < 0).any()


@pytest.mark.parametrize("model", ["tiny_rn", "tiny_vit", "tiny_coca"])
@torch.no_grad()
def test_all_sites_at_once_equal_each_alone_and_the_output_is_unchanged(model, request):
    model = request.getfixturevalue(model)
    batch = torch.randn(2, 3, *model.image_size)
    before = model.run("image", batch)
    sites = [s for s in model.sites if s.tower == "image"]
    with record(sites, stop=False) as taps:
        output = model.run("image", batch)
    # Attention that is looked at runs torch's other kernel; everything else is the same to the bit.
    assert torch.allclose(output, before, atol=1e-5)
    with record([s for s in sites if s.kind != "attention"], stop=False):
        assert torch.equal(model.run("image", batch), before)
    for site in sites:
        alone = forward_to(site, batch)[site.name]
        assert torch.allclose(taps[site.name], alone, atol=1e-5), site
        assert tuple(alone.movedim(site.batch_axis, 0).shape) == (2, *site.shape)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("tiny_rn", ["image.layer2", "image.layer3.0"]),
        ("tiny_rn", ["image.layer3.pre_relu"]),
        ("tiny_rn", ["visual.layer4.0.bn1"]),
        ("tiny_vit", ["image.stem"]),
        ("tiny_vit", ["image.blocks.1.mlp.neurons", "image.blocks.0"]),
        ("tiny_vit", ["text.blocks.0"]),
    ],
)
def test_nothing_runs_after_the_last_site(model, names, request):
    model = request.getfixturevalue(model)
    sites = model.sites(names)
    tower = sites[0].tower
    batch = model.tokens(["a dog"]) if tower == "text" else torch.randn(2, 3, *model.image_size)
    whole = starts_and_ends(model.module, lambda: model.run(tower, batch))
    ends = [("end", s.path) if s.at == "output" else ("start", s.path) for s in sites]
    last = max(whole.index(end) for end in ends)
    short = starts_and_ends(model.module, lambda: forward_to(sites, batch))
    started = [name for what, name in short if what == "start"]
    assert started == [name for what, name in whole[: last + 1] if what == "start"]
    assert len(started) < sum(what == "start" for what, _ in whole)


def test_in_a_block_of_ones_own_nothing_is_cut_short(tiny_rn, pictures):
    site = tiny_rn.site("image.layer1")
    with record([site]) as taps, torch.no_grad():
        output = tiny_rn.module.encode_image(pictures)
        assert output.shape == (5, 24)
        first = taps["image.layer1"]
        taps.forward(pictures)
        assert torch.equal(first, taps["image.layer1"])


def test_gradients_reach_the_pixels(tiny_rn, pictures):
    site = tiny_rn.site("image.layer4.pre_relu")
    pixels = pictures.clone().requires_grad_()
    forward_to(site, pixels, detach=False)[site.name][:, 3].sum().backward()
    again = pictures.clone().requires_grad_()
    visual = tiny_rn.module.visual
    x = visual.layer4[0](visual.layer3(visual.layer2(visual.layer1(visual.stem(again)))))
    by_hand(visual.layer4[1], x)[1][:, 3].sum().backward()
    torch.testing.assert_close(pixels.grad, again.grad, rtol=1e-4, atol=1e-6)
    tiny_rn.module.zero_grad()


def test_detached_by_default(tiny_rn, pictures):
    taken = forward_to(tiny_rn.sites(["image.layer3", "image.layer4"]), pictures)
    assert not any(tensor.requires_grad for tensor in taken.values())


def test_a_users_own_hooks_survive_and_what_they_change_is_seen(tiny_rn, pictures):
    site = tiny_rn.site("image.layer2")
    plain = forward_to(site, pictures)["image.layer2"]
    mine = site.module.register_forward_hook(lambda m, a, o: o * 2)
    try:
        before = hooks_of(tiny_rn.module)
        torch.testing.assert_close(forward_to(site, pictures)["image.layer2"], plain * 2)
        assert hooks_of(tiny_rn.module) == before
    finally:
        mine.remove()
    assert torch.equal(forward_to(site, pictures)["image.layer2"], plain)


def test_an_exception_anywhere_leaves_the_model_as_it_was(tiny_rn, pictures):
    module = tiny_rn.module
    module.visual.layer1.train()
    module.visual.conv1.weight.requires_grad_(False)
    before = hooks_of(module), [m.training for m in module.modules()]
    flags = [p.requires_grad for p in module.parameters()]
    sites = tiny_rn.sites(["image.layer3", "image.embedding", "image.layer4.pre_relu"])
    try:
        with pytest.raises(RuntimeError), record(sites) as taps:
            taps.forward(pictures[:, :2])  # two channels
        with pytest.raises(ZeroDivisionError), record(sites) as taps:
            taps.forward(pictures)
            1 / 0  # noqa: B018
        with pytest.raises(KeyboardInterrupt):
            trap = module.visual.layer2.register_forward_hook(interrupt)
            before_trap = hooks_of(module)
            try:
                forward_to(sites, pictures)
            finally:
                assert hooks_of(module) == before_trap
                trap.remove()
        assert (hooks_of(module), [m.training for m in module.modules()]) == before
        assert [p.requires_grad for p in module.parameters()] == flags
        assert not tiny_rn._on_result
    finally:
        module.eval()
        module.visual.conv1.weight.requires_grad_(True)


def interrupt(*args):
    raise KeyboardInterrupt


def test_the_fused_path_of_torchs_own_encoder_gives_the_same_values():
    """In eval mode torch runs encoder layers as one kernel, past its submodules."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    module = nn.TransformerEncoder(layer, 2).eval()
    model = lens.wrap(module, example=torch.zeros(1, 6, 16))
    batch = torch.randn(3, 6, 16)
    with torch.no_grad():
        fused = module(batch)
        names = ["layers.0.linear1", "layers.0", "layers.1"]
        taken = forward_to(model.sites(names), batch)
    torch.testing.assert_close(taken["layers.1"], fused, rtol=1e-5, atol=1e-5)
    with torch.enable_grad():  # never fused
        slow = module.layers[0](batch)
    torch.testing.assert_close(taken["layers.0"], slow, rtol=1e-5, atol=1e-5)
    assert taken["layers.0.linear1"].shape == (3, 6, 32)


def test_half_precision(tiny_vit, small_pictures):
    import copy

    half = lens.wrap(copy.deepcopy(tiny_vit.module).bfloat16())
    taken = forward_to(half.site("image.blocks.2"), small_pictures)["image.blocks.2"]
    exact = forward_to(tiny_vit.site("image.blocks.2"), small_pictures)["image.blocks.2"]
    assert taken.dtype == torch.bfloat16
    torch.testing.assert_close(taken.float(), exact, rtol=0.1, atol=0.2)


def test_what_makes_no_sense_together_is_refused(tiny_rn, tiny_vit):
    with pytest.raises(BadInput, match="empty"), record([]):
        pass
    mixed = [tiny_rn.site("image.layer1"), tiny_rn.site("text.blocks.0")]
    with pytest.raises(BadInput, match="one tower of one model"), record(mixed):
        pass
    two = [tiny_rn.site("image.layer1"), tiny_vit.site("image.blocks.0")]
    with pytest.raises(BadInput, match="of one model"), record(two):
        pass


def test_a_module_that_does_not_run_this_time_is_named():
    class Sometimes(nn.Module):
        def __init__(self):
            super().__init__()
            self.skip = False
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            return self.first(x) if self.skip else self.second(self.first(x))

    module = Sometimes()
    model = lens.wrap(module)
    site = model.site("second")
    module.skip = True
    with pytest.raises(BadInput, match="second of Sometimes did not run"):
        forward_to(site, torch.zeros(1, 3))
