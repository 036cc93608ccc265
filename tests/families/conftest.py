"""Small random configurations of the real classes, each family's own way to build them."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is downloaded, and nothing waits for it

import diffusers
import pytest
import transformers

import lens

VISION = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 2, "image_size": 32, "patch_size": 8,
}  # fmt: skip
WORDS = {
    "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2,
    "vocab_size": 100, "max_position_embeddings": 20, "bos_token_id": 98, "eos_token_id": 99,
}  # fmt: skip
T5 = {
    "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4,
    "vocab_size": 100, "decoder_start_token_id": 0,
}  # fmt: skip
PERCEIVER = {
    "num_latents": 16, "d_latents": 12, "num_blocks": 2, "num_self_attends_per_block": 2,
    "num_self_attention_heads": 2, "num_cross_attention_heads": 1, "image_size": 8,
    "num_labels": 5,
}  # fmt: skip
ALIGN = {
    "image_size": 64, "width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 128,
    "depthwise_padding": [],
}  # fmt: skip


def two_towers(name: str, vision: dict, text: dict, **options):
    config = getattr(transformers, f"{name}Config")(
        vision_config=vision, text_config={**WORDS, **text}, **options
    )
    return getattr(transformers, f"{name}Model")(config)


def of(name: str, config: str, **options):
    return getattr(transformers, name)(getattr(transformers, config)(**options))


def _without(options: dict, key: str) -> dict:
    return {k: v for k, v in options.items() if k != key}


#: From a name to a function that builds the model.
MAKERS = {
    "clip": lambda: two_towers("CLIP", VISION, {"pad_token_id": 0}, projection_dim=24),
    "siglip": lambda: two_towers("Siglip", VISION, {"projection_size": 32, "pad_token_id": 1}),
    "siglip2": lambda: two_towers(
        "Siglip2",
        {**_without(VISION, "image_size"), "num_patches": 16},
        {"projection_size": 32, "pad_token_id": 1},
    ),
    "align": lambda: two_towers("Align", ALIGN, {"pad_token_id": 0}, projection_dim=32),
    "chinese_clip": lambda: two_towers(
        "ChineseCLIP", VISION, {"pad_token_id": 0}, projection_dim=24
    ),
    "altclip": lambda: two_towers(
        "AltCLIP", VISION, {"pad_token_id": 1, "project_dim": 28}, projection_dim=24
    ),
    "perceiver": lambda: of(
        "PerceiverForImageClassificationFourier", "PerceiverConfig", **PERCEIVER
    ),
    "t5": lambda: of("T5ForConditionalGeneration", "T5Config", **T5),
    "gated_t5": lambda: of("T5Model", "T5Config", **T5, feed_forward_proj="gated-gelu"),
    "umt5": lambda: of("UMT5ForConditionalGeneration", "UMT5Config", **T5),
    "videomae": lambda: of(
        "VideoMAEForVideoClassification", "VideoMAEConfig", **VISION, num_frames=4, tubelet_size=2
    ),
    "vit": lambda: of("ViTModel", "ViTConfig", **VISION),
    "registers": lambda: of(
        "Dinov2WithRegistersModel", "Dinov2WithRegistersConfig",
        **_without(VISION, "intermediate_size"), num_register_tokens=3, mlp_ratio=2,
    ),
    "clip_vision": lambda: of("CLIPVisionModelWithProjection", "CLIPVisionConfig", **VISION),
    "clip_text": lambda: of("CLIPTextModel", "CLIPTextConfig", **WORDS, pad_token_id=0),
    "t5_encoder": lambda: of("T5EncoderModel", "T5Config", **T5),
    "wan": lambda: diffusers.WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=16,
        freq_dim=16, ffn_dim=40, num_layers=2, rope_max_seq_len=32,
    ),
    "cogvideox": lambda: diffusers.CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=4,
        time_embed_dim=8, text_embed_dim=16, num_layers=2, sample_width=8, sample_height=8,
        sample_frames=9, max_text_seq_length=6,
    ),
}  # fmt: skip


@pytest.fixture(scope="session")
def family(build):
    """Open a small model by its family's name: `family("clip")`; each is built once."""
    opened: dict[str, lens.model.Model] = {}

    def get(name: str) -> lens.model.Model:
        if name not in opened:
            module = build(MAKERS[name])
            example = None
            if name == "perceiver":  # Fourier features would have pictures of 224 x 224
                import torch

                example = torch.zeros(1, 3, 8, 8)
            opened[name] = lens.wrap(module, name=name, example=example)
        return opened[name]

    return get


@pytest.fixture(scope="session")
def fresh_family(build):
    """Build a module that a test may change: `fresh_family("clip")`."""
    return lambda name: build(MAKERS[name])
