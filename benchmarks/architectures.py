"""What `families.py` builds: small enough for any machine, with random weights, nothing fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

#: Parameters of the largest model that is built in full depth.
MOST = 400_000_000
#: Bytes that a model may take with its activations: a larger one is not built.
MEMORY = 16_000_000_000
#: Blocks of a tower that was cut down.
DEPTH = 4


def makers() -> dict[str, Callable[[], tuple[nn.Module, str]]]:
    """From a name to a function that builds a model and tells what is special about it."""
    import open_clip

    found = {name: clip_maker(name) for name in open_clip.list_models()}
    for name in (
        "vit_small_patch14_reg4_dinov2", "eva02_tiny_patch14_224", "convnext_atto", "fastvit_mci0",
        "vit_so400m_patch14_siglip_224", "vit_pe_core_tiny_patch16_384", "resnet18",
        "swin_tiny_patch4_window7_224", "efficientnet_b0",
    ):  # fmt: skip
        found[f"timm/{name}"] = timm_maker(name)
    for name in ("resnet18", "vit_b_16", "swin_t", "swin_v2_t", "convnext_tiny", "efficientnet_b0"):
        found[f"torchvision/{name}"] = torchvision_maker(name)
    for name, (model, config, options) in TRANSFORMERS.items():
        found[f"transformers/{name}"] = transformers_maker(model, config, options)
    for name, options in DIFFUSERS.items():
        found[f"diffusers/{name}"] = diffusers_maker(name, options)
    return found


def clip_maker(name: str) -> Callable[[], tuple[nn.Module, str]]:
    """An architecture of open_clip, cut down where it is too large."""

    def make() -> tuple[nn.Module, str]:
        import open_clip

        config = open_clip.get_model_config(name)
        notes = []
        text = config["text_cfg"].get("hf_model_name")
        with configured():
            size = counted(name)
            cut = size > MOST
            if cut:
                notes.append(f"{size / 1e6:.0f}M cut to {DEPTH} blocks")
            if text:
                notes.append(f"{text} configured here, not downloaded")
            with shallow(name, cut):
                if 8 * counted(name) > MEMORY:  # the weights in float32, and as much again
                    raise MemoryError(f"{size / 1e6:.0f}M parameters are too many")
                module = open_clip.create_model(name, pretrained=None, pretrained_hf=False)
        return module, "; ".join(notes)

    return make


def counted(name: str) -> int:
    """How many parameters an architecture has, without memory for any of them."""
    import open_clip

    with torch.device("meta"):
        module = open_clip.create_model(name, pretrained=None, pretrained_hf=False, device="meta")
    return sum(p.numel() for p in module.parameters())


@contextmanager
def configured() -> Iterator[None]:
    """Text towers from a hub are configured by transformers' own classes."""
    try:
        from open_clip import hf_model
        from transformers import AutoConfig
    except ImportError:
        yield
        return

    def config(name: str, **options: Any) -> Any:
        import transformers

        if name not in TEXT_CONFIGS:
            raise LookupError(f"the configuration of {name} needs a download")
        kind, known = TEXT_CONFIGS[name]
        return getattr(transformers, kind)(**known)

    with (
        patch.object(AutoConfig, "from_pretrained", config),
        patch.object(hf_model, "AutoConfig", AutoConfig),
    ):
        yield


@contextmanager
def shallow(name: str, cut: bool) -> Iterator[None]:
    """Cut the towers of an architecture down to a few blocks while it is built."""
    import open_clip
    import timm

    if not cut:
        yield
        return
    config = open_clip.get_model_config(name)
    for key in ("vision_cfg", "text_cfg", "multimodal_cfg"):
        layers = config.get(key, {}).get("layers")
        if isinstance(layers, int):
            config[key]["layers"] = min(layers, DEPTH)
        elif layers:
            config[key]["layers"] = [min(n, 2) for n in layers]
    real = timm.create_model

    def create(kind: str, *args: Any, **options: Any) -> nn.Module:
        module = real(kind, *args, **options)
        for stage in [module, *getattr(module, "stages", [])]:
            blocks = getattr(stage, "blocks", None)
            if isinstance(blocks, (nn.Sequential, nn.ModuleList)) and len(blocks) > DEPTH:
                stage.blocks = (
                    type(blocks)(*blocks[:DEPTH])
                    if isinstance(blocks, nn.Sequential)
                    else type(blocks)(blocks[:DEPTH])
                )
        return module

    known = open_clip.factory._MODEL_CONFIGS
    with patch.dict(known, {name: config}), patch.object(timm, "create_model", create):
        yield


def timm_maker(name: str) -> Callable[[], tuple[nn.Module, str]]:
    """A tower of timm, of at most `DEPTH` blocks where it is a large one."""

    def make() -> tuple[nn.Module, str]:
        import timm

        large = "so400m" in name
        return timm.create_model(name, **({"depth": DEPTH} if large else {})), (
            f"cut to {DEPTH} blocks" if large else ""
        )

    return make


def torchvision_maker(name: str) -> Callable[[], tuple[nn.Module, str]]:
    """A classifier of torchvision."""

    def make() -> tuple[nn.Module, str]:
        import torchvision

        return torchvision.models.get_model(name, weights=None), ""

    return make


def transformers_maker(
    model: str, config: str, options: dict[str, Any]
) -> Callable[[], tuple[nn.Module, str]]:
    """A model of transformers, from its class's own defaults."""

    def make() -> tuple[nn.Module, str]:
        import transformers

        made = getattr(transformers, model)(getattr(transformers, config)(**options))
        eager = made.config._attn_implementation == "eager"
        return made, "eager attention alone" if eager else ""

    return make


def diffusers_maker(name: str, options: dict[str, Any]) -> Callable[[], tuple[nn.Module, str]]:
    """A text-to-video transformer of diffusers, narrow and of two blocks."""

    def make() -> tuple[nn.Module, str]:
        import diffusers

        return getattr(diffusers, name)(**options), "narrow, 2 blocks"

    return make


# Widths of the published text towers: their configurations are small files on a hub.
TEXT_CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "roberta-base": ("RobertaConfig", {"vocab_size": 50265, "max_position_embeddings": 514,
                                       "type_vocab_size": 1}),
    "xlm-roberta-base": ("XLMRobertaConfig", {"vocab_size": 250002, "type_vocab_size": 1,
                                              "max_position_embeddings": 514}),
    "xlm-roberta-large": ("XLMRobertaConfig", {
        "vocab_size": 250002, "max_position_embeddings": 514, "type_vocab_size": 1,
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": DEPTH,
        "num_attention_heads": 16}),
    "google/mt5-base": ("MT5Config", {"d_model": 768, "d_ff": 2048, "num_heads": 12,
                                      "num_layers": DEPTH}),
    "google/mt5-xl": ("MT5Config", {"d_model": 2048, "d_ff": 5120, "num_heads": 32,
                                    "num_layers": DEPTH, "num_decoder_layers": 1}),
    "facebook/nllb-200-distilled-600M": ("M2M100Config", {
        "vocab_size": 256206, "encoder_layers": DEPTH, "decoder_layers": 1}),
    "facebook/nllb-200-distilled-1.3B": ("M2M100Config", {
        "vocab_size": 256206, "encoder_layers": DEPTH, "decoder_layers": 1,
        "encoder_ffn_dim": 8192}),
}  # fmt: skip
TRANSFORMERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "CLIP": ("CLIPModel", "CLIPConfig", {}),
    "SigLIP": ("SiglipModel", "SiglipConfig", {}),
    "SigLIP2": ("Siglip2Model", "Siglip2Config", {}),
    "ALIGN": ("AlignModel", "AlignConfig", {"vision_config": {"image_size": 289}}),  # as published
    "ChineseCLIP": ("ChineseCLIPModel", "ChineseCLIPConfig", {}),
    "AltCLIP": ("AltCLIPModel", "AltCLIPConfig", {"text_config": {"num_hidden_layers": DEPTH}}),
    "Perceiver": ("PerceiverForImageClassificationConvProcessing", "PerceiverConfig",
                  {"num_blocks": 1, "num_self_attends_per_block": DEPTH,
                   "num_cross_attention_heads": 1}),
    "T5": ("T5ForConditionalGeneration", "T5Config", {"decoder_start_token_id": 0}),
    "UMT5": ("UMT5ForConditionalGeneration", "UMT5Config", {"decoder_start_token_id": 0}),
    "VideoMAE": ("VideoMAEForVideoClassification", "VideoMAEConfig", {}),
}  # fmt: skip
DIFFUSERS: dict[str, dict[str, Any]] = {
    "WanTransformer3DModel": {
        "num_attention_heads": 2, "attention_head_dim": 12, "text_dim": 64, "ffn_dim": 64,
        "num_layers": 2},
    "CogVideoXTransformer3DModel": {
        "num_attention_heads": 2, "attention_head_dim": 16, "text_embed_dim": 64, "num_layers": 2,
        "sample_width": 16, "sample_height": 16, "sample_frames": 9},
}  # fmt: skip
