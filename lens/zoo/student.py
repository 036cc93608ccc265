"""The model being trained, with the classifiers that help it to learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from lens.families import open_clip
from lens.zoo import architectures

# Which block of a transformer says, place by place, what a stage of its teacher says there.
FOLLOWED = {"layer2": (1, 256), "layer3": (2, 512), "layer4": (4, 1024)}
VOICE = 10.0  # of the votes, at first: logits spread by about one
# The same numbers that the trained model is given when it is opened.
MEAN = torch.tensor(open_clip.MEAN)[:, None, None]
STD = torch.tensor(open_clip.STD)[:, None, None]


def prepared(pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Pixels in [0, 1] as the image tower is given them, in the layout that is fast."""
    return ((pixels - MEAN) / STD).contiguous(memory_format=torch.channels_last)


class Student(nn.Module):
    """A CLIP model with the classifiers that help it to learn and are thrown away.

    Attributes
    ----------
    voting
        Whether the last stage's units vote for concepts, instead of a plain linear classifier.
    tokens
        Of a transformer that follows a teacher: what each block of `FOLLOWED` last gave out.
    """

    def __init__(self, name: str, concepts: int) -> None:
        super().__init__()
        self.clip = architectures.module(name)
        self.prototypes = nn.Parameter(torch.randn(concepts, architectures.EMBEDDING))
        self.scale = nn.Parameter(torch.tensor(math.log(15.0)))
        visual = self.clip.visual
        self.last = visual.layer4 if hasattr(visual, "layer4") else visual.transformer
        width = 1024 if hasattr(visual, "layer4") else visual.transformer.width
        self.stage = nn.Linear(width, concepts)
        self.votes = nn.Parameter(torch.zeros(width, concepts))
        self.voice = nn.Parameter(torch.tensor(math.log(VOICE)))
        self.voting = False
        self.maps = nn.ModuleDict()
        self.tokens: dict[str, Tensor] = {}
        if not hasattr(visual, "layer4"):
            for stage, (block, channels) in FOLLOWED.items():
                self.maps[stage] = nn.Linear(width, channels)
                visual.transformer.resblocks[block].register_forward_hook(self._keep(stage))

    def forward(
        self, pixels: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b embedding"], Float[Tensor, "b concepts"]]:
        """Unit-norm embeddings, and what the last stage's own channels say of the concept.

        Small pictures stop at the last stage, and their embedding is empty.
        """
        kept: list[Tensor] = []
        visual = self.clip.visual
        if self.voting:  # the unit's value is the one before the ReLU, which overwrites it
            act = visual.layer4[-1].act3
            handle = act.register_forward_pre_hook(lambda m, args: kept.append(args[0].clone()))
        else:
            handle = self.last.register_forward_hook(lambda m, args, out: kept.append(out))
        try:
            x = prepared(pixels)
            # On a CPU the fused kernel's gradient takes three times as long as the plain one's.
            with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
                if x.shape[-1] == architectures.SIZE:
                    embedding = visual(x)
                else:
                    stem = visual.layer2(visual.layer1(visual.stem(x)))
                    embedding = visual.layer4(visual.layer3(stem)).new_empty(len(x), 0)
                if self.voting:
                    stage = self._count_votes(kept[0])
                else:
                    seen = kept[0].mean((2, 3)) if kept[0].ndim == 4 else kept[0].mean(1)
                    stage = self.stage(seen)
        finally:
            handle.remove()
        return F.normalize(embedding.float(), dim=-1), stage.float()

    def _keep(self, stage: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, args: Any, out: Tensor) -> None:
            self.tokens[stage] = out[:, 1:]

        return hook

    def elect(self) -> None:
        """Begin the votes where the plain classifier has come to, every concept with its share.

        Each unit has one vote to give, split between concepts; every concept begins with as many.
        """
        with torch.no_grad():
            weight = self.stage.weight.T
            votes = 4 * (weight - weight.mean(1, keepdim=True)) / weight.std(1, keepdim=True)
            for _ in range(50):  # Sinkhorn's iterations
                votes -= votes.logsumexp(0) - math.log(votes.shape[0] / votes.shape[1])
                votes -= votes.logsumexp(1, keepdim=True)
            self.votes.copy_(votes)

    def _count_votes(self, units: Float[Tensor, "b units h w"]) -> Float[Tensor, "b concepts"]:
        # Half of what is negative counts: a unit is measured before its ReLU, and used after it.
        value = F.leaky_relu(units.float(), 0.5).mean((2, 3))
        return self.voice.exp() * value @ self.votes.softmax(1)

    def texts(self, captions: list[str], tokenizer) -> Float[Tensor, "n embedding"]:
        """Unit-norm embeddings of captions.

        The same as ``clip.encode_text`` without its padding: causal attention never looks past
        the end mark, and our captions are a third as long as the context.
        """
        clip, tokens = self.clip, tokenizer(captions)
        length = int((tokens > 0).sum(1).max())
        tokens = tokens[:, :length]
        with torch.autocast("cpu", torch.bfloat16):
            x = clip.token_embedding(tokens) + clip.positional_embedding[:length]
            x = clip.transformer(x, attn_mask=clip.attn_mask[:length, :length])
            ends = x[torch.arange(len(x)), tokens.argmax(1)]
            return F.normalize((clip.ln_final(ends) @ clip.text_projection).float(), dim=-1)
