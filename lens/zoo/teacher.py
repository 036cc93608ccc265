"""A trained model that another one learns from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lens.zoo import load
from lens.zoo.captions import Captions
from lens.zoo.student import FOLLOWED, Student, prepared

if TYPE_CHECKING:
    from lens.zoo.train import Run


class Teacher:
    """A trained model whose text tower the student takes over, and whose image tower it follows.

    A transformer sees one embedding a picture in the contrast, but 64 places in a picture: told
    what each of the teacher's stages says at every place, it learns to see in a fraction of the
    pictures (Romero et al. 2015, "FitNets: hints for thin deep nets").
    """

    def __init__(self, name: str, run: Run) -> None:
        self.clip: Any = load(name, device="cpu").module.requires_grad_(False)
        self.clip.visual.to(memory_format=torch.channels_last)
        self.follow_weight = run.recipe.follow_weight
        self.hint_weight = run.recipe.hint_weight
        self.maps: dict[str, Tensor] = {}
        for stage in FOLLOWED:
            getattr(self.clip.visual, stage).register_forward_hook(self._keep(stage))
        student, kept = run.student.clip, {}
        for key, value in self.clip.state_dict().items():
            if not key.startswith("visual."):
                kept[key] = value
        student.load_state_dict(kept, strict=False)
        for key, parameter in student.named_parameters():
            parameter.requires_grad_(key.startswith("visual."))
        run.average = {k: v.clone() for k, v in student.state_dict().items()}
        # The tower is locked, so a few captions of every concept serve the whole run.
        captions = Captions(run.glyphs.tags, torch.Generator().manual_seed(run.recipe.seed))
        with torch.no_grad():
            self.texts = [
                run.student.texts([captions.of(c) for c in run.glyphs.concepts], run.tokenizer)
                for _ in range(16)
            ]

    def named(self, step: int) -> Float[Tensor, "concepts embedding"]:
        """The text embeddings of one caption of every concept."""
        return self.texts[step % len(self.texts)]

    def _keep(self, stage: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, args: Any, out: Tensor) -> None:
            self.maps[stage] = out.clone()  # what comes after overwrites it

        return hook

    def loss(
        self,
        student: Student,
        embedding: Float[Tensor, "b embedding"],
        pixels: Float[Tensor, "b 3 h w"],
        concepts: Int[Tensor, " b"],
        texts: Float[Tensor, "concepts embedding"],
    ) -> Tensor:
        """Name the concept among all, lie where the teacher's embedding lies, see what it sees."""
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            shown = F.normalize(self.clip.visual(prepared(pixels)).float(), dim=-1)
        logits = self.clip.logit_scale.exp() * embedding @ texts.T
        away = 1 - (embedding * shown).sum(1).mean()
        loss = F.cross_entropy(logits, concepts) + self.follow_weight * away
        return loss + self.hint_weight * self._hints(student)

    def _hints(self, student: Student) -> Tensor:
        """One minus the cosine between the two models' maps, place by place, over the stages.

        Every other picture is enough: each has 64 places.
        """
        away = []
        for stage, tokens in student.tokens.items():
            side = math.isqrt(tokens.shape[1])
            shown = F.interpolate(
                self.maps[stage][::2].float(), size=(side, side), mode="bilinear", antialias=True
            )
            with torch.autocast("cpu", torch.bfloat16):
                told = student.maps[stage](tokens[::2])
            away.append(1 - F.cosine_similarity(told, shown.flatten(2).mT, dim=-1).mean())
        return torch.stack(away).mean()
