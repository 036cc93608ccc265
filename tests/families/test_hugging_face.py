"""Small random models of transformers, against plain torch hooks and transformers' own outputs."""

import numpy as np
import pytest
import torch
import transformers
from accelerate import cpu_offload, dispatch_model
from PIL import Image

import lens
from lens import edit
from lens.capture.attention import watched
from lens.capture.hooks import forward_to
from lens.errors import BadInput
from lens.sites import by_position, unit_maps, unit_values

IMAGES = [
    "clip", "siglip", "siglip2", "align", "chinese_clip", "altclip", "perceiver", "videomae", "vit",
    "registers", "clip_vision",
]  # fmt: skip
TEXTS = [
    "clip", "siglip", "siglip2", "align", "chinese_clip", "altclip", "t5", "gated_t5", "umt5",
    "clip_text", "t5_encoder",
]  # fmt: skip
TOWERS = [
    *((name, "image") for name in IMAGES),
    *((name, "text") for name in TEXTS),
    *((name, "cross") for name in ("t5", "gated_t5", "umt5", "wan", "cogvideox")),
]
# Class and register tokens before those that have a place.
PREFIX = {"clip": 1, "chinese_clip": 1, "altclip": 1, "vit": 1, "clip_vision": 1, "registers": 4}


def batch_of(model, tower, count=3):
    """Random inputs; texts end at various places, the rest of them is padding."""
    g = torch.Generator().manual_seed(0)

    def noise(example):
        if example.is_floating_point():
            return torch.randn(count, *example.shape[1:], generator=g)
        if example.ndim < 2:  # times
            return torch.randint(0, 1000, (count,), generator=g)
        tokens = torch.randint(3, 90, (count, *example.shape[1:]), generator=g)
        pad = model._family.pad_token
        for row, length in enumerate((5, 9, tokens.shape[1])[:count]):
            tokens[row, length - 1] = 99
            tokens[row, length:] = 99 if pad is None else pad
        return tokens

    example = model.example(tower, count)
    if isinstance(example, dict):
        return {name: noise(tensor) for name, tensor in example.items()}
    return noise(example)


def blocks(model, tower):
    inside = [s for s in model.sites if s.tower == tower and s.kind == "block"]
    return [s for s in inside if s.name.startswith(f"{tower}.blocks.")]


def hooks_of(model):
    return [(*m._forward_hooks, *m._forward_pre_hooks) for m in model.module.modules()]


@pytest.mark.parametrize(("name", "tower"), TOWERS)
def test_every_site_is_what_its_module_computed(family, name, tower):
    """Against a plain hook on the module, with a run that is not ours to stop."""
    model = family(name)
    sites = [s for s in model.sites if s.tower == tower and s.path and s.kind != "attention"]
    batch = batch_of(model, tower)
    seen = {}

    def keep(path):
        def hook(module, args, output):
            seen[path] = (output if torch.is_tensor(output) else output[0]).clone()

        return hook

    handles = [s.module.register_forward_hook(keep(s.path)) for s in sites if s.at == "output"]
    with torch.no_grad():
        model.run(tower, batch)
    for handle in handles:
        handle.remove()
    taken = forward_to(sites, batch)
    assert len(seen) == len(sites) >= 4 - 2 * (tower == "cross")
    for site in sites:
        torch.testing.assert_close(taken[site.name], seen[site.path], rtol=1e-5, atol=1e-5)
        assert taken[site.name].shape[site.unit_axis] == site.n_units
        assert tuple(taken[site.name].movedim(site.batch_axis, 0).shape[1:]) == site.shape


@pytest.mark.parametrize("name", ["clip", "siglip", "chinese_clip", "altclip", "vit", "registers"])
def test_image_blocks_are_the_hidden_states(family, name):
    """transformers' own record: what each block got, the last one's result among them."""
    model = family(name)
    pictures = batch_of(model, "image")
    inner = getattr(model.module, "vision_model", model.module)
    with torch.no_grad():
        states = inner(pixel_values=pictures, output_hidden_states=True).hidden_states
    sites = [model.site("image.stem"), *blocks(model, "image")]
    taken = forward_to(sites, pictures)
    assert len(states) == len(sites)
    for site, state in zip(sites, states, strict=True):
        torch.testing.assert_close(taken[site.name], state, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["clip", "siglip", "chinese_clip", "altclip", "align", "clip_text"]
)
def test_text_blocks_are_the_hidden_states_under_the_mask(family, name):
    model = family(name)
    tokens = batch_of(model, "text")
    inner = getattr(model.module, "text_model", model.module)
    pad = model._family.pad_token
    mask = {} if pad is None else {"attention_mask": (tokens != pad).long()}
    with torch.no_grad():
        states = inner(input_ids=tokens, **mask, output_hidden_states=True).hidden_states
    sites = blocks(model, "text")
    taken = forward_to(sites, tokens)
    for site, state in zip(sites, states[1:], strict=True):
        torch.testing.assert_close(taken[site.name], state, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["t5", "umt5", "gated_t5"])
def test_an_encoder_decoder_meets_its_own_hidden_states(family, name):
    model = family(name)
    batch = batch_of(model, "cross")
    module = model.module
    mask = (batch["text"] != 0).long()
    shifted = module._shift_right(batch["target"])
    with torch.no_grad():
        own = module(
            input_ids=batch["text"], attention_mask=mask, decoder_input_ids=shifted,
            output_hidden_states=True,
        )  # fmt: skip
    texts = forward_to(blocks(model, "text"), batch["text"])
    says = forward_to(blocks(model, "cross"), batch)
    torch.testing.assert_close(texts["text.blocks.0"], own.encoder_hidden_states[1])
    torch.testing.assert_close(says["cross.blocks.0"], own.decoder_hidden_states[1])
    raw = {"input_ids": batch["text"], "attention_mask": mask, "decoder_input_ids": shifted}
    with torch.no_grad():
        torch.testing.assert_close(model.run("cross", raw), model.run("cross", batch))


def test_perceiver_blocks_run_several_times_and_the_last_counts(family):
    model = family("perceiver")
    pictures = batch_of(model, "image")
    with torch.no_grad():
        own = model.module(inputs=pictures, output_hidden_states=True)
    site = model.site("image.blocks.1")
    assert site.calls == 2
    taken = forward_to([site, model.site("image.cross")], pictures)
    torch.testing.assert_close(taken["image.blocks.1"], own.hidden_states[-1])
    torch.testing.assert_close(taken["image.cross"], own.hidden_states[0])


@pytest.mark.parametrize("name", IMAGES)
def test_only_tokens_of_the_picture_make_a_map(family, name):
    """A change in one corner of the picture reaches, in the stem, that corner of the map alone."""
    model = family(name)
    stem = model.site("image.stem")
    if name in ("perceiver", "videomae"):
        # 16 latents, and 32 places of a video, would make a square or a rectangle.
        assert all(s.grid is None for s in model.sites)
        with pytest.raises(BadInput, match="has no map"):
            unit_maps(stem, forward_to(stem, batch_of(model, "image"))[stem.name])
        return
    block = model.site("image.blocks.1")
    assert block.n_prefix == PREFIX.get(name, 0)
    pictures = batch_of(model, "image", 1).repeat(2, 1, 1, 1)
    side = pictures.shape[-1] // 4
    pictures[1, :, :side, -side:] += 1  # up on the right
    maps = unit_maps(stem, forward_to(stem, pictures)[stem.name])
    moved = (maps[0] - maps[1]).abs().amax(0)
    rows, columns = moved.shape
    assert moved[0, -1] > 0
    assert not moved[rows // 2 :].any()
    assert not moved[:, : columns // 2].any()


@pytest.mark.parametrize(("name", "tower"), TOWERS)
def test_means_are_over_positions_and_units_are_units(family, name, tower):
    model = family(name)
    site = blocks(model, tower)[0]
    batch = batch_of(model, tower)
    tensor = forward_to(site, batch)[site.name]
    placed = by_position(site, tensor)
    assert placed.shape[::2] == (3, site.n_units)
    own = tensor.flatten(2).mean(2) if site.layout == "BCHW" else tensor[:, site.n_prefix :].mean(1)
    torch.testing.assert_close(unit_values(site, tensor), own)
    captured = lens.capture(model, batch, site, progress=False, batch_size=2, reduce="mean")
    np.testing.assert_allclose(captured[site.name], own.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in TEXTS if n not in ("t5", "gated_t5", "umt5")])
def test_what_pads_a_text_does_not_reach_its_pooled_token(family, name):
    """The same words in front of other padding: the vector that stands for them stays."""
    model = family(name)
    tokens = batch_of(model, "text", 2)
    site = blocks(model, "text")[-1]
    at = model.pooled_token(tokens)
    read = unit_values(site, forward_to(site, tokens)[site.name], position=at)
    if name.startswith("siglip"):
        assert at.tolist() == [tokens.shape[1] - 1] * 2
        return
    cut = tokens[:, :9].contiguous()
    assert torch.equal(model.pooled_token(cut), at)
    short = unit_values(site, forward_to(site, cut)[site.name], position=at)
    torch.testing.assert_close(read, short, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["clip", "siglip", "align", "chinese_clip", "altclip"])
def test_embeddings_are_those_of_the_model_itself(family, name):
    model = family(name)
    pictures, tokens = batch_of(model, "image"), batch_of(model, "text")
    pad = model._family.pad_token
    mask = None if pad is None else (tokens != pad).long()
    with torch.no_grad():
        own = model.module(input_ids=tokens, attention_mask=mask, pixel_values=pictures)
        got = {"image": model.run("image", pictures), "text": model.run("text", tokens)}
    for tower, wanted in (("image", own.image_embeds), ("text", own.text_embeds)):
        unit = torch.nn.functional.normalize(got[tower], dim=-1)
        torch.testing.assert_close(
            unit, torch.nn.functional.normalize(wanted, dim=-1), rtol=1e-5, atol=1e-5
        )
        site = model.site(f"{tower}.embedding")
        batch = pictures if tower == "image" else tokens
        torch.testing.assert_close(forward_to(site, batch)[site.name], got[tower])


@pytest.mark.parametrize(("name", "tower"), TOWERS)
def test_an_edit_reaches_the_result_and_leaves_no_trace(family, name, tower):
    model = family(name)
    last, batch = blocks(model, tower)[-1], batch_of(model, tower)
    with torch.no_grad():
        before = model.run(tower, batch)
        hooks = hooks_of(model)  # transformers leaves its own, once hidden states were asked for
        with edit.zero(last):
            assert not torch.allclose(model.run(tower, batch), before)
        torch.testing.assert_close(model.run(tower, batch), before, rtol=1e-5, atol=1e-6)
    assert hooks_of(model) == hooks


def test_names_are_those_of_open_clip(family, tiny_vit):
    """But for what pools by attention, which each of them calls as it likes."""
    wanted = [s.name for s in tiny_vit.sites if ".2" not in s.name]
    for name in ("clip", "siglip", "siglip2", "chinese_clip", "altclip"):
        assert [n for n in family(name).sites.names if "head.attention" not in n] == wanted


def test_attention_is_the_same_by_torch_and_by_hand(family):
    model = family("clip")
    with torch.no_grad():
        eager = transformers.CLIPModel._from_config(
            model.module.config, attn_implementation="eager"
        ).eval()
    eager.load_state_dict(model.module.state_dict())
    picture = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))
    maps, others = (lens.attention(m, picture) for m in (model, lens.wrap(eager)))
    assert list(maps) == list(others)
    for name, layer in maps.items():
        assert layer.pattern.shape == (1, 2, 17, 17)
        for part in ("pattern", "v", "heads"):
            one, other = getattr(layer, part), getattr(others[name], part)
            np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("name", ["align", "perceiver"])
def test_attention_that_is_only_written_by_hand(family, name):
    model = family(name)
    tower = "text" if name == "align" else "image"
    layers = model.attention_layers(tower)
    assert layers
    with torch.no_grad(), watched(model, tower) as seen:
        model.run(tower, batch_of(model, tower))
    for _, call in seen:
        torch.testing.assert_close(call.pattern @ call.v, call.heads, rtol=1e-5, atol=1e-5)


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "dog", "two", "cats"]


@pytest.fixture(scope="session")
def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]"
    )


def test_a_tokenizer_of_transformers_and_its_mask(fresh_family, tokenizer):
    module = fresh_family("chinese_clip")
    model = lens.wrap(module, tokenizer=tokenizer)
    texts = ["a dog", "two cats a dog two cats"]
    tokens = model.tokens(texts)
    assert tokens.shape == (2, 20)
    assert tokens[0, :5].tolist() == [2, 4, 5, 3, 0]
    own = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        wanted = module.get_text_features(**own).pooler_output
    wanted = torch.nn.functional.normalize(wanted, dim=-1)
    np.testing.assert_allclose(model.embed(texts), wanted.numpy(), atol=1e-5)
    # One text at a time and both together are the same, however long the other one is.
    acts = lens.capture(model, texts, "text.blocks.1", reduce="eot", progress=False)
    alone = lens.capture(model, texts[:1], "text.blocks.1", reduce="eot", progress=False)
    np.testing.assert_allclose(acts["text.blocks.1"][:1], alone["text.blocks.1"], atol=1e-6)


def test_what_a_tokenizer_hides_the_tower_does_not_read(fresh_family, tokenizer):
    """Another number for padding than the model's own, as lists without padding or with it."""
    module = fresh_family("altclip")  # its padding is 1, the tokenizer's is 0
    model = lens.wrap(module, tokenizer=tokenizer)
    assert model.tokens(["a dog"])[0, :6].tolist() == [2, 4, 5, 3, 1, 1]
    plain = lens.wrap(module, tokenizer=lambda texts: {"input_ids": [[2, 4, 5, 3]] * len(texts)})
    assert torch.equal(plain.tokens(["a dog"]), model.tokens(["a dog"]))
    with torch.no_grad():
        torch.testing.assert_close(
            model.run("text", model.tokens(["a dog"])),
            model.run("text", {"input_ids": torch.tensor([[2, 4, 5, 3]])}),
        )


def test_tokenizers_that_cannot_be_used_say_so(fresh_family, tokenizer):
    module = fresh_family("clip")
    import copy

    bare = copy.deepcopy(tokenizer)
    bare.pad_token = None
    with pytest.raises(BadInput, match="no padding token"):
        lens.wrap(module, tokenizer=bare)
    with pytest.raises(BadInput, match="gives NoneType"):
        lens.wrap(module, tokenizer=lambda texts: None).tokens(["a dog"])
    with pytest.raises(BadInput, match="reads no text"):
        lens.wrap(fresh_family("vit"), tokenizer=tokenizer)


def test_an_image_processor_brings_its_mean_and_its_size(fresh_family):
    size = {"height": 32, "width": 32}
    processor = transformers.ViTImageProcessor(size=size, image_mean=[0.1] * 3, image_std=[0.2] * 3)
    model = lens.wrap(fresh_family("vit"), preprocess=processor)
    picture = Image.new("RGB", (50, 40), (255, 0, 0))
    made = model.preprocess(picture)
    assert made.shape == (3, 32, 32)
    assert made[:, 5, 5].tolist() == pytest.approx([4.5, -0.5, -0.5])
    assert model.mean.tolist() == pytest.approx([0.1] * 3)
    plain = lens.wrap(fresh_family("siglip"))
    assert plain.preprocess(picture)[:, 5, 5].tolist() == pytest.approx([1, -1, -1])


def test_pairs_of_texts_for_a_decoder(fresh_family, tokenizer):
    model = lens.wrap(fresh_family("t5"), tokenizer=tokenizer)
    pairs = [("two cats", "a dog"), ("a dog", "two cats a dog")]
    acts = lens.capture(model, pairs, ["cross.blocks.0", "cross.output"], progress=False)
    batch = {
        "text": model.tokens([p[0] for p in pairs]),
        "target": model.tokens([p[1] for p in pairs]),
    }
    with torch.no_grad():
        logits = model.run("cross", batch)
    np.testing.assert_allclose(acts["cross.output"], logits.numpy(), atol=1e-5)
    one = lens.capture(model, pairs[0], "cross.output", progress=False)
    np.testing.assert_allclose(one["cross.output"], acts["cross.output"][:1], atol=1e-5)
    with pytest.raises(BadInput, match=r"pair \(text, target\)"):
        lens.capture(model, ["a dog"], "cross.blocks.0", progress=False)
    with pytest.raises(BadInput, match="no single vector"):
        model.embed(["a dog"])


def test_videos_are_tensors_of_frames(family):
    model = family("videomae")
    assert model.input_shape("image") == (4, 3, 32, 32)
    videos = torch.randn(3, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    one = lens.capture(model, videos[0], "image.blocks.1", progress=False)
    both = lens.capture(model, list(videos), "image.blocks.1", progress=False)
    assert both["image.blocks.1"].shape == (3, 32, 32)
    np.testing.assert_allclose(both["image.blocks.1"][:1], one["image.blocks.1"], atol=1e-5)
    with pytest.raises(BadInput, match=r"it takes \(4, 3, 32, 32\)"):
        lens.capture(model, Image.new("RGB", (32, 32)), "image.blocks.1", progress=False)


@pytest.mark.parametrize("offload", [False, True])
def test_weights_that_accelerate_placed(fresh_family, offload):
    """A device map wraps each module's forward; hooks still see what it computes."""
    plain, module = fresh_family("clip"), fresh_family("clip")
    if offload:
        cpu_offload(module, execution_device=torch.device("cpu"))
    else:
        dispatch_model(module, device_map={"": "cpu"}, force_hooks=True)
    model = lens.wrap(module)
    pictures = batch_of(model, "image")
    wanted = forward_to(lens.wrap(plain).site("image.blocks.1"), pictures)
    assert torch.equal(forward_to(model.site("image.blocks.1"), pictures)["image.blocks.1"],
                       wanted["image.blocks.1"])  # fmt: skip
