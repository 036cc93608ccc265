"""The number that is explained: a similarity, a prompt's probability, a unit, a class.

A score is a differentiable function from a batch of one tower's inputs to one number an input. It
keeps no state between calls, so that captum may call it with batches of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lens.capture.hooks import record
from lens.errors import BadInput, suggestion
from lens.model import Model
from lens.sites import TowerName, Unit, unit_values

__all__ = ["Output", "Pool", "Score", "chosen", "embedded"]

Output = Literal["cosine", "logit", "log_odds", "log_probability", "probability"]
# These tell one of several apart from the others.
CONTRASTS = ("log_odds", "log_probability", "probability")
Pool = Literal["mean", "cls", "max", "token"]


@dataclass(frozen=True, eq=False)
class Score:
    """What is explained, as a function of one tower's input.

    Attributes
    ----------
    model : Model
        Whose score it is.
    tower : {"image", "text"}
        Whose input varies.
    label : str
        What it is, in words.
    """

    model: Model
    tower: TowerName
    label: str

    def __call__(self, batch: Tensor) -> Float[Tensor, " batch"]:
        """Score each input of a batch; differentiable."""
        raise NotImplementedError

    def on(self, model: Model) -> Score:
        """Return the same score of another model of the same architecture."""
        return replace(self, model=model)


@dataclass(frozen=True, eq=False)
class Matching(Score):
    """How well the input goes with what the other tower was given."""

    others: Float[Tensor, "n dim"]  # unit norm
    index: int
    output: Output
    rest: Float[Tensor, " n"] | None = None  # cosines of all texts, where one of them varies

    def __call__(self, batch: Tensor) -> Float[Tensor, " batch"]:
        made = embedded(self.model, self.tower, batch)
        cosines = made @ self.others.to(made).T
        if self.rest is not None:
            column = torch.arange(len(self.rest), device=made.device) == self.index
            cosines = torch.where(column, cosines, self.rest.to(made))
        if self.output == "cosine":
            return cosines[:, self.index]
        return _read(_logits(self.model, cosines), self.index, self.output)


@dataclass(frozen=True, eq=False)
class Class(Score):
    """One output of a model with one tower."""

    index: int
    output: Output

    def __call__(self, batch: Tensor) -> Float[Tensor, " batch"]:
        return _read(self.model.run(self.tower, batch), self.index, self.output)


@dataclass(frozen=True, eq=False)
class UnitValue(Score):
    """What one unit answers."""

    unit: Unit
    pool: Pool

    def __call__(self, batch: Tensor) -> Float[Tensor, " batch"]:
        site = self.unit.site
        # Attached anew for every pass: hooks run in the order in which they were added, and what
        # an edit or a tap makes of the site has to be seen.
        with record([site], detach=False) as taps:
            tensor = taps.forward(batch)[site.name]
        if self.pool == "token":
            position = self.model.pooled_token(batch)
            return unit_values(site, tensor, position=position)[:, self.unit.index]
        return unit_values(site, tensor, self.pool)[:, self.unit.index]

    def on(self, model: Model) -> Score:
        site = model.site(self.unit.site.name)
        return replace(self, model=model, unit=site.unit(self.unit.index))


def chosen(
    model: Model,
    tower: TowerName,
    image: Float[Tensor, "1 channels height width"] | None,
    texts: Sequence[str],
    target: Any,
    output: Output | None,
    pool: Pool | None,
) -> Score:
    """Decide what is explained.

    Parameters
    ----------
    model : Model
        Whose answer.
    tower : {"image", "text"}
        Whose input is explained.
    image : Tensor, optional
        What the image tower takes, a batch of one.
    texts : sequence of str
        One, or the prompts to choose among; may be empty.
    target : Unit, int, str or None
        A unit; an output's number; a prompt or its number; None for the highest.
    output : Output, optional
        In which form; by default the cosine with one text, the log-odds among several, and the
        logit of a class.
    pool : Pool, optional
        How a unit's values over positions become one; by default their mean in pictures, and the
        token that stands for the whole in texts.

    Raises
    ------
    BadInput
        If the parts do not fit together.
    """
    if output is not None and output not in get_args(Output):
        raise BadInput(f"There is no output {output!r}; it is {_or(get_args(Output))}.")
    if isinstance(target, Unit):
        if output is not None:
            raise BadInput("A unit's own value is explained; leave out output=.")
        return _of_unit(model, tower, target, pool)
    if pool is not None:
        raise BadInput("pool= tells how to read a unit; the target is none.")
    if texts:
        return _of_match(model, tower, image, texts, target, output)
    if isinstance(target, str):
        raise BadInput(f"target={target!r} names one of the texts, and there are none.")
    if "text" in model.towers:
        raise BadInput(
            f"What shall be explained about {model.name}? Give text='a dog', several texts, or "
            f"target=site.unit(17)."
        )
    if image is None:
        raise BadInput("There is no picture to explain.")
    return _of_class(model, image, target, output)


def embedded(model: Model, tower: TowerName, batch: Tensor) -> Float[Tensor, "batch dim"]:
    """Embed a batch in the joint space, each row of length 1; differentiable."""
    return nn.functional.normalize(_wide(model.run(tower, batch)), dim=-1)


def _of_unit(model: Model, tower: TowerName, unit: Unit, pool: Pool | None) -> Score:
    site = unit.site
    if site.model is not model:
        raise BadInput(f"{unit!r} is a unit of another model, not of {model.name}.")
    if site.tower != tower:
        raise BadInput(f"{unit!r} is in the {site.tower} tower; the {tower} cannot explain it.")
    pool = pool or ("token" if tower == "text" and site.layout != "BD" else "mean")
    if pool not in get_args(Pool):
        raise BadInput(f"There is no pool {pool!r}; it is {_or(get_args(Pool))}.")
    if pool == "token" and (tower != "text" or site.layout == "BD"):
        raise BadInput(f"{site.name} has no token that stands for a text; use pool='mean'.")
    label = f"{site.name} unit {unit.index}" + ("" if site.layout == "BD" else f" ({pool})")
    return UnitValue(model, tower, label, unit, pool)


def _of_match(
    model: Model,
    tower: TowerName,
    image: Tensor | None,
    texts: Sequence[str],
    target: Any,
    output: Output | None,
) -> Score:
    if "text" not in model.towers:
        raise BadInput(f"{model.name} reads no text; target=207 explains one of its outputs.")
    if image is None:
        raise BadInput("A text is compared with a picture, and there is none.")
    with torch.no_grad():
        of_texts = embedded(model, "text", model.tokens(texts))
        of_image = embedded(model, "image", image)
    cosines = (of_image @ of_texts.T)[0]
    index = _among(texts, target, cosines)
    output = output or ("cosine" if len(texts) == 1 else "log_odds")
    if output in CONTRASTS and len(texts) == 1:
        raise BadInput(f"{output!r} needs several texts to choose among.")
    if output != "cosine":
        _logits(model, cosines)  # refused now rather than in the middle of the work
    what = f"{_named(output)} {'with' if output == 'cosine' else 'of'} {texts[index]!r}"
    if output in CONTRASTS:
        what += f" among {len(texts)} texts"
    if tower == "image":
        return Matching(model, tower, what, of_texts, index, output)
    others = of_image.expand(len(texts), -1)
    return Matching(model, tower, what, others, index, output, cosines)


def _of_class(model: Model, image: Tensor, target: Any, output: Output | None) -> Score:
    output = output or "logit"
    if output == "cosine":
        raise BadInput(f"{model.name} reads no text, so there is no cosine.")
    with torch.no_grad():
        made = model.run("image", image)
    if made.ndim != 2:
        raise BadInput(
            f"{model.name} gives a tensor of the shape {tuple(made.shape)}, not one number a "
            f"class; target=site.unit(...) explains a unit."
        )
    count = made.shape[1]
    index = int(made[0].argmax()) if target is None else _number(target, count, "outputs")
    return Class(model, "image", f"{_named(output)} of output {index}", index, output)


def _among(texts: Sequence[str], target: Any, cosines: Float[Tensor, " n"]) -> int:
    if target is None:
        return int(cosines.argmax())
    if isinstance(target, str):
        if target not in texts:
            near = suggestion(target, texts)
            raise BadInput(f"target={target!r} is none of the {len(texts)} texts.{near}")
        return list(texts).index(target)
    return _number(target, len(texts), "texts")


def _number(target: Any, count: int, what: str) -> int:
    try:
        index = target.__index__()
    except (AttributeError, TypeError):
        raise BadInput(
            f"target is a unit, a number or a text, not {type(target).__name__}."
        ) from None
    if isinstance(target, bool) or not 0 <= index < count:
        raise BadInput(f"There are the {what} 0 to {count - 1}, not {target}.")
    return index


def _logits(model: Model, cosines: Tensor) -> Tensor:
    """Scale cosines as the model was trained to: exp(logit_scale) * cosine + logit_bias."""
    scale = getattr(model.module, "logit_scale", None)
    if not isinstance(scale, Tensor):
        raise BadInput(f"{model.name} has no logit_scale, so no logits; use output='cosine'.")
    bias = getattr(model.module, "logit_bias", None)
    logits = scale.detach().to(cosines).exp() * cosines
    return logits + bias.detach().to(cosines) if isinstance(bias, Tensor) else logits


def _read(logits: Tensor, index: int, output: Output) -> Float[Tensor, " batch"]:
    logits = _wide(logits)
    if output == "log_odds":
        # log(p / (1 - p)); not by way of p, whose slope is gone where the model is sure.
        others = torch.arange(logits.shape[1], device=logits.device) != index
        return logits[:, index] - logits[:, others].logsumexp(-1)
    if output == "log_probability":
        logits = logits.log_softmax(-1)
    elif output == "probability":
        logits = logits.softmax(-1)
    return logits[:, index]


def _wide(values: Tensor) -> Tensor:
    """Half precision is too coarse for the small differences that are explained."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _named(output: Output) -> str:
    return output.replace("_", "-")


def _or(names: Sequence[str]) -> str:
    return f"{', '.join(map(repr, names[:-1]))} or {names[-1]!r}"
