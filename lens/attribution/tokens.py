"""Methods that score the tokens of a text, at the module that embeds them.

Token numbers cannot be interpolated; their embeddings can. The baseline keeps the marks of
beginning and end and puts the padding token in every word's place.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from lens.attribution.layers import held, unused
from lens.attribution.question import Answer, Question
from lens.attribution.tap import Tap
from lens.errors import BadInput
from lens.model import Model
from lens.sites import Site

__all__ = [
    "baseline_tokens",
    "embedding_site",
    "input_x_gradient",
    "integrated_gradients",
    "occlusion",
    "readable",
    "saliency",
    "spelled",
    "words",
]


def integrated_gradients(question: Question, *, steps: int = 64) -> Answer:
    """Integrated gradients of the token embeddings, from padding in the place of every word.

    captum's LayerIntegratedGradients. Sundararajan et al., 2017.
    """
    from captum.attr import LayerIntegratedGradients

    site, ground = embedding_site(question.model), baseline_tokens(question.model, question.input)
    with Tap(site, question.score) as tap, unused(site, question):
        scores = LayerIntegratedGradients(tap, tap.layer).attribute(
            question.input,
            **question.path(ground, steps),
        )
        start = held(tap, question.input, ground)
    return Answer(scores.detach().sum(-1), baseline_score=start, complete=True, site=site.name)


def input_x_gradient(question: Question) -> Answer:
    """Gradient at each token's embedding times that embedding."""
    return _gradient(question, times_input=True)


def saliency(question: Question) -> Answer:
    """Length of the gradient at each token's embedding."""
    return _gradient(question, times_input=False)


def occlusion(question: Question) -> Answer:
    """How much the score falls when padding takes a token's place, one token at a time."""
    from captum.attr import FeatureAblation

    ground = baseline_tokens(question.model, question.input)
    word = words(question.model, question.input)
    # One feature a word; what stays as it is makes up one more.
    mask = torch.where(word, word.cumsum(0) - 1, word.sum())[None]
    scores = FeatureAblation(question.score).attribute(
        question.input,
        baselines=ground,
        feature_mask=mask,
        perturbations_per_eval=question.batch_size,
    )
    start = question.value(ground)
    return Answer(torch.where(word, scores, 0), baseline_score=start)


def embedding_site(model: Model) -> Site:
    """Return the site of the token embeddings: the largest embedding that the text tower runs.

    Raises
    ------
    BadInput
        If the text tower runs none.
    """
    found = [
        (module.num_embeddings, path)
        for path, module in model.module.named_modules()
        if isinstance(module, nn.Embedding) and model.has_site(path)
    ]
    for _, path in sorted(found, reverse=True):
        if (site := model.site(path)).tower == "text":
            return site
    raise BadInput(f"The text tower of {model.name} runs no nn.Embedding of its tokens.")


def baseline_tokens(model: Model, tokens: Int[Tensor, "1 tokens"]) -> Int[Tensor, "1 tokens"]:
    """Put padding in the place of every token that an empty text does not have."""
    empty = model.tokens([""]).to(tokens)
    return torch.where(words(model, tokens), empty[0, -1], tokens)


def words(model: Model, tokens: Int[Tensor, "1 tokens"]) -> Bool[Tensor, " tokens"]:
    """Tell the tokens of words from marks and padding: an empty text does not have them."""
    return ~torch.isin(tokens[0], model.tokens([""]).to(tokens))


def spelled(model: Model, tokens: Int[Tensor, "1 tokens"]) -> int:
    """Count the tokens up to the end of the text, padding left out."""
    padding = model.tokens([""]).to(tokens)[0, -1]
    used = (tokens[0] != padding).nonzero()
    return int(used[-1]) + 1 if len(used) else tokens.shape[1]


def readable(model: Model, text: str, tokens: Int[Tensor, "1 tokens"]) -> list[str]:
    """Spell each token, by the tokenizer where it can, by the text's words where they fit."""
    numbers = [int(number) for number in tokens[0, : spelled(model, tokens)]]
    tokenizer: Any = model.tokenizer
    for owner in (tokenizer, getattr(tokenizer, "tokenizer", None)):
        decode = getattr(owner, "decode", None)
        if callable(decode):
            return [str(decode([number])).strip() or f"#{number}" for number in numbers]
    marks = set(model.tokens([""])[0].tolist())
    names = [name for word in text.split() for name in _pieces(model, word, marks)]
    inside = [at for at, number in enumerate(numbers) if number not in marks]
    named = [f"#{number}" for number in numbers]
    if len(inside) == len(names):
        for at, name in zip(inside, names, strict=True):
            named[at] = name
    return named


def _pieces(model: Model, word: str, marks: set[int]) -> list[str]:
    count = sum(number not in marks for number in model.tokens([word])[0].tolist())
    return [word] if count == 1 else [f"{word} {k + 1}/{count}" for k in range(count)]


def _gradient(question: Question, *, times_input: bool) -> Answer:
    from captum.attr import LayerGradientXActivation

    site = embedding_site(question.model)
    with (
        Tap(site, question.score) as tap,
        unused(site, question),
        warnings.catch_warnings(),
    ):
        # captum says that token numbers have no gradients; their embeddings, which it takes, do.
        warnings.filterwarnings("ignore", message=r"(?s).*[Gg]radients cannot be activated")
        scores = LayerGradientXActivation(tap, tap.layer, multiply_by_inputs=times_input).attribute(
            question.input
        )
    scores = scores.detach()
    return Answer(scores.sum(-1) if times_input else scores.norm(dim=-1), site=site.name)
