"""Methods that score the places of a site inside of the model, by captum's layer methods."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lens.attribution.question import Answer, Question
from lens.attribution.tap import Tap
from lens.errors import BadInput
from lens.sites import Site

__all__ = [
    "default_site",
    "grad_cam",
    "held",
    "layer_conductance",
    "layer_grad_x_activation",
    "layer_integrated_gradients",
    "layer_internal_influence",
    "unused",
]

Where = str | Site | None
# Sites that all of a tower passes through: the whole stream, not a branch of it.
WHOLE = ("stem", "stage", "block")


def grad_cam(question: Question, *, site: Where = None, relu: bool = True) -> Answer:
    """A site's units, each weighted with its mean gradient, summed; class tokens left out.

    Negative places are cut off, as in the paper; ``relu=False`` keeps them. The site is the last
    stage or block whose places matter to the score. Selvaraju et al., "Grad-CAM", 2017.
    """
    from captum.attr import LayerGradCam

    where = _site(question, site)
    with Tap(where, question.score, maps=True) as tap, unused(where, question):
        scores = LayerGradCam(tap, tap.layer).attribute(
            _free(question.input), relu_attributions=relu
        )
    return Answer(scores[0, 0].detach(), site=where.name, smooth=True)


def layer_grad_x_activation(question: Question, *, site: Where = None) -> Answer:
    """A site's gradient times its value, place by place, summed over its units."""
    from captum.attr import LayerGradientXActivation

    where = _site(question, site)
    with Tap(where, question.score) as tap, unused(where, question):
        scores = LayerGradientXActivation(tap, tap.layer).attribute(_free(question.input))
    return _answer(where, question, scores)


def layer_integrated_gradients(
    question: Question, *, site: Where = None, baseline: Any = None, steps: int = 64
) -> Answer:
    """Integrated gradients from a site's value for the baseline to its value for the picture.

    What does not pass through the site stays as it is for the picture, in the baseline's score
    too. Sundararajan et al., 2017.
    """
    from captum.attr import LayerIntegratedGradients

    where, ground = _site(question, site), question.baseline(baseline)
    with Tap(where, question.score) as tap, unused(where, question):
        scores = LayerIntegratedGradients(tap, tap.layer).attribute(
            question.input,
            **question.path(ground, steps),
        )
        start = held(tap, question.input, ground)
    return _answer(where, question, scores, baseline_score=start, complete=True)


def layer_conductance(
    question: Question, *, site: Where = None, baseline: Any = None, steps: int = 64
) -> Answer:
    """Integrated gradients of the pixels, by what passes through each place of the site.

    It adds up to the whole difference where the site is all that the picture passes through.
    Dhamdhere et al., "How important is a neuron?", 2018.
    """
    from captum.attr import LayerConductance

    where, ground = _site(question, site), question.baseline(baseline)
    with Tap(where, question.score) as tap, unused(where, question):
        scores = LayerConductance(tap, tap.layer).attribute(
            _free(question.input),
            **question.path(ground, steps),
        )
    start, complete = question.value(ground), where.kind in WHOLE
    return _answer(where, question, scores, baseline_score=start, complete=complete)


def layer_internal_influence(
    question: Question, *, site: Where = None, baseline: Any = None, steps: int = 64
) -> Answer:
    """A site's mean gradient along the line from the baseline, summed over its units.

    Leino et al., "Influence-directed explanations", 2018.
    """
    from captum.attr import InternalInfluence

    where, ground = _site(question, site), question.baseline(baseline)
    with Tap(where, question.score) as tap, unused(where, question):
        scores = InternalInfluence(tap, tap.layer).attribute(
            _free(question.input),
            **question.path(ground, steps),
        )
    return _answer(where, question, scores, baseline_score=question.value(ground))


def default_site(question: Question) -> Site:
    """Return the last stage or block whose places the score depends on.

    The patches that the last block of a transformer gives do not matter where its class token
    alone is read; the block before it is taken then.

    Raises
    ------
    BadInput
        If there is none.
    """
    from captum.attr import LayerGradientXActivation

    model = question.model
    for site in _candidates(question):
        with Tap(site, question.score) as tap:
            try:
                (gradient,) = LayerGradientXActivation(
                    tap, tap.layer, multiply_by_inputs=False
                ).attribute(_free(question.input))
            except (BadInput, RuntimeError) as error:
                if isinstance(error, BadInput) or _cut_off(error):
                    continue
                raise
        if bool(gradient[site.n_prefix :].abs().amax() > 0):
            return site
    raise BadInput(
        f"{model.name} has no place with a map that {question.score.label} depends on; "
        f"site= names one."
    )


def held(tap: Tap, given: Tensor, ground: Tensor) -> float:
    """Score an input while the tapped site has the value that it has for another one."""
    values: list[Tensor] = []

    def keep(layer: nn.Module, args: Any, output: Tensor) -> None:
        values.append(output)

    def replace(layer: nn.Module, args: Any, output: Tensor) -> Tensor:
        return values[-1]

    with torch.no_grad():
        for hook, batch in ((keep, ground), (replace, given)):
            handle = tap.layer.register_forward_hook(hook)
            try:
                score = float(tap(batch)[0])
            finally:
                handle.remove()
    return score


@contextmanager
def unused(site: Site, question: Question) -> Iterator[None]:
    """Say in one sentence that a score has no gradient at a site."""
    try:
        yield
    except RuntimeError as error:
        if not _cut_off(error):
            raise
        raise BadInput(f"{question.score.label} does not depend on {site.name}.") from error


def _cut_off(error: RuntimeError) -> bool:
    """Whether autograd found no way from the score to the site."""
    text = str(error)
    return "not have been used in the graph" in text or "does not require grad" in text


def _site(question: Question, named: Where) -> Site:
    if named is None:
        return default_site(question)
    site = question.model.site(named) if isinstance(named, str) else named
    if not isinstance(site, Site):
        raise BadInput(f"site= is a name or a site, not {type(named).__name__}.")
    if site.model is not question.model:
        # The sanity check asks another model the same question.
        site = question.model.site(site.name)
    if site.tower != "image":
        raise BadInput(f"{site.name} is in the text tower; a picture is explained.")
    if site.grid is None:
        raise BadInput(f"{site.name} of {question.model.name} has no map: no places in a picture.")
    return site


def _candidates(question: Question) -> Iterator[Site]:
    """Stages and blocks from the last to the first; in a module without any, convolutions."""
    model = question.model
    named = [site for site in model.sites if site.tower == "image" and site.grid is not None]
    main = [site for site in named if site.kind in ("stage", "block")]
    if main:
        yield from reversed(main)
        return
    for path, module in reversed(list(model.module.named_modules())):
        if isinstance(module, nn.Conv2d) and model.has_site(path):
            site = model.site(path)
            if site.tower == "image" and site.grid is not None:
                yield site


def _answer(
    site: Site,
    question: Question,
    scores: Float[Tensor, "1 positions units"],
    baseline_score: float | None = None,
    complete: bool = False,
) -> Answer:
    scores = scores.detach()
    prefix = scores[:, : site.n_prefix].sum()
    grid = site.grid
    assert grid is not None  # `_site` refuses others
    placed = scores[0, site.n_prefix :].sum(-1)
    if site.layout in ("BCHW", "BHWC") and grid[0] * grid[1] != len(placed):
        # A picture of another size has another grid; one channel tells which.
        height, width = question.input.shape[-2:]
        rows = round((len(placed) * height / width) ** 0.5)
        grid = (rows, len(placed) // rows)
    return Answer(
        placed.reshape(grid),
        elsewhere=float(prefix),
        baseline_score=baseline_score,
        complete=complete,
        site=site.name,
        smooth=True,
    )


def _free(pixels: Tensor) -> Tensor:
    return pixels.detach().clone().requires_grad_()
