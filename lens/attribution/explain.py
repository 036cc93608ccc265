"""The verb: one explanation of one answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from lens.attribution import layers, pixels, tokens
from lens.attribution.question import Answer, Question, positive
from lens.attribution.result import Attribution
from lens.attribution.scores import Output, Pool, chosen
from lens.errors import BadInput, suggestion
from lens.model import Model
from lens.sites import TowerName, Unit

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["attribute", "methods", "shown"]

Method = Callable[..., Answer]

IMAGE_METHODS: dict[str, Method] = {
    "integrated_gradients": pixels.integrated_gradients,
    "saliency": pixels.saliency,
    "input_x_gradient": pixels.input_x_gradient,
    "smooth_grad": pixels.smooth_grad,
    "guided_backprop": pixels.guided_backprop,
    "occlusion": pixels.occlusion,
    "feature_ablation": pixels.feature_ablation,
    "kernel_shap": pixels.kernel_shap,
    "grad_cam": layers.grad_cam,
    "layer_integrated_gradients": layers.layer_integrated_gradients,
    "layer_grad_x_activation": layers.layer_grad_x_activation,
    "layer_conductance": layers.layer_conductance,
    "layer_internal_influence": layers.layer_internal_influence,
}
TEXT_METHODS: dict[str, Method] = {
    "integrated_gradients": tokens.integrated_gradients,
    "saliency": tokens.saliency,
    "input_x_gradient": tokens.input_x_gradient,
    "occlusion": tokens.occlusion,
}
# What the ends of the colours mean where they are not "against" and "for".
MEANING = {
    "saliency": ("", "sensitive"),
    "smooth_grad": ("", "sensitive"),
    "guided_backprop": ("less raises it", "more raises it"),
    "layer_internal_influence": ("less raises it", "more raises it"),
}
# For tokens, the layer is that of their embeddings.
SAME_FOR_TEXT = {
    "layer_integrated_gradients": "integrated_gradients",
    "layer_grad_x_activation": "input_x_gradient",
    "feature_ablation": "occlusion",
}


def attribute(
    model: Model,
    image: Any = None,
    text: str | Sequence[str] | None = None,
    method: str = "integrated_gradients",
    *,
    target: Unit | int | str | None = None,
    explain: Literal["image", "text"] | None = None,
    output: Output | None = None,
    pool: Pool | None = None,
    batch_size: int = 16,
    seed: int = 0,
    **options: Any,
) -> Attribution:
    """Explain one answer of a model: which pixels or tokens it comes from.

    Edits that are active (``with lens.edit.zero(...)``) are part of the model that is explained.
    The model's weights, gradients, hooks and modes are left as they were.

    Parameters
    ----------
    model : Model
        From `lens.load` or `lens.wrap`.
    image : picture
        A PIL image, a path, an array, or a tensor that has been preprocessed.
    text : str or list of str
        One text: the cosine of its embedding with the picture's is explained. Several: the
        log-odds of one of them, log(p / (1 - p)) with p the softmax of exp(logit_scale) * cosine.
    method : str
        See `lens.attribution.methods()`.
    target : Unit, int or str, optional
        Something else to explain: a unit; an output of a classifier; which one of several texts,
        by number or as it is written. By default the likeliest text or the highest output.
    explain : {"image", "text"}, optional
        Which of the two inputs is explained: the picture by default.
    output : {"cosine", "logit", "log_odds", "log_probability", "probability"}, optional
        In which form. A logit is exp(logit_scale) * cosine for texts, and a plain output for
        classifiers, where it is the default. Probabilities have no slope left where the model is
        sure; log-odds keep theirs.
    pool : {"mean", "cls", "max", "token"}, optional
        How a unit's positions become one number: their mean in pictures, and in texts the token
        that stands for the whole, by default.
    batch_size : int
        How many inputs run at once; memory follows it.
    seed : int
        Of the methods that draw: smooth_grad, kernel_shap.
    **options
        Of the method: ``baseline`` ("mean", "black", "white", "blur" or a picture), ``steps``,
        ``site``, ``relu``, ``window``, ``stride``, ``patches``, ``samples``, ``noise``.

    Returns
    -------
    Attribution
        ``.heat`` or ``.tokens`` and ``.scores``, with the score, the baseline's score, the
        completeness delta where the method promises completeness, and ``.sanity()``.

    Raises
    ------
    BadInput
        If there is no such method or option, or the parts do not fit together.
    UnknownSite
        If ``site=`` names none.

    Examples
    --------
    >>> heat = lens.attribute(model, picture, "a dog")
    >>> lens.attribute(model, picture, ["a dog", "a cat"], "grad_cam", target="a cat")
    >>> lens.attribute(model, picture, target=site.unit(17), method="occlusion", window=16)
    >>> lens.attribute(model, picture, "a photo of a dog", explain="text")
    """
    if not isinstance(model, Model):
        raise BadInput(f"attribute takes a model of lens first, not {type(model).__name__}.")
    tower = _side(image, text, target, explain)
    name, function = _method(method, tower)
    _check_options(name, function, options)
    positive(batch_size, "batch_size")
    # Whoever calls this in no_grad or in inference mode wants no graph of their own; ours is.
    with torch.inference_mode(False), torch.enable_grad():
        picture = None if image is None else _pictured(model, image)
        texts = [text] if isinstance(text, str) else list(text or ())
        unit_of_text = tower == "text" and isinstance(target, Unit)
        if unit_of_text and len(texts) != 1:
            raise BadInput(f"A unit answers to one text, not to {len(texts)}; give text='a dog'.")
        score = chosen(
            model, tower, picture, () if isinstance(target, Unit) else texts, target, output, pool
        )
        text_read = texts[0 if unit_of_text else getattr(score, "index", 0)] if texts else ""
        given = picture if tower == "image" else model.placed(model.tokens([text_read]))
        if given is None:
            raise BadInput("There is no picture to explain; give image=, or explain='text'.")
        question = Question(score, given, batch_size, seed)
        answer = function(question, **options)
        value = question.value()

    # Marks and padding are alike whatever the weights are; the sanity check is about the words.
    words = slice(None) if tower == "image" else tokens.words(model, given)

    def ask(other: Model) -> Float[Tensor, "rows columns"]:
        with torch.inference_mode(False), torch.enable_grad():
            made = function(Question(score.on(other), given, batch_size, seed), **options)
        return made.places.detach()[:, words].float().cpu()

    common: dict[str, Any] = {
        "method": name,
        "target": score.label,
        "model": model.name,
        "site": answer.site,
        "score": value,
        "baseline_score": answer.baseline_score,
        "delta": _delta(answer, value),
        "_compared": answer.places.detach()[:, words].float().cpu(),
        "_ask": ask,
        "_of": model,
        "_tower": tower,
        "_meaning": MEANING.get(name, ("against", "for")),
        "_unit": _of_unit(target),
        "_read": text_read,
    }
    if tower == "text":
        return _of_text(model, text_read, given, answer, common)
    return _of_image(model, given, answer, common)


def methods() -> pd.DataFrame:
    """Return the methods as a table: what each one is, what it explains, and its options."""
    import pandas as pd

    rows = []
    for name, function in IMAGE_METHODS.items():
        also = name in TEXT_METHODS or name in SAME_FOR_TEXT
        what = (inspect.getdoc(function) or "").split("\n")[0]
        options = ", ".join(_options(function))
        rows.append((name, "image, text" if also else "image", options, what))
    return pd.DataFrame(rows, columns=["method", "explains", "options", "what"])


def _of_unit(target: Any) -> str:
    return f"{target.site.pre_activation.name}/{target.index}" if isinstance(target, Unit) else ""


def _side(image: Any, text: Any, target: Any, explain: Any) -> TowerName:
    if explain not in (None, "image", "text"):
        raise BadInput(f"explain is 'image' or 'text', not {explain!r}.")
    if isinstance(target, Unit) and explain is None:
        return target.site.tower
    tower: TowerName = explain or ("text" if image is None and text else "image")
    if tower == "text" and not text:
        raise BadInput("There is no text to explain; give text='a dog'.")
    if tower == "image" and image is None:
        raise BadInput("There is no picture to explain.")
    return tower


def _method(name: Any, tower: TowerName) -> tuple[str, Method]:
    if not isinstance(name, str):
        raise BadInput(f"A method is named by a str, not {type(name).__name__}.")
    if tower == "image" and name in IMAGE_METHODS:
        return name, IMAGE_METHODS[name]
    if tower == "text":
        function = TEXT_METHODS.get(SAME_FOR_TEXT.get(name, name))
        if function is not None:
            return name, function
        if name in IMAGE_METHODS:
            raise BadInput(f"{name} explains pictures; texts have {', '.join(TEXT_METHODS)}.")
    there = IMAGE_METHODS if tower == "image" else TEXT_METHODS
    raise BadInput(
        f"There is no method {name!r}.{suggestion(name, there)} "
        f"lens.attribution.methods() lists them."
    )


def _options(function: Method) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]


def _check_options(name: str, function: Method, options: dict[str, Any]) -> None:
    there = _options(function)
    for option in options:
        if option not in there:
            listed = f"it has {', '.join(there)}" if there else "it has none"
            raise BadInput(f"{name} has no option {option!r}; {listed}.")


def _pictured(model: Model, image: Any) -> Float[Tensor, "1 channels height width"]:
    if isinstance(image, Tensor) and image.ndim == 4 and len(image) == 1:
        image = image[0]
    if isinstance(image, (list, tuple)) or (isinstance(image, Tensor) and image.ndim == 4):
        raise BadInput("One picture is explained at a time.")
    picture = model.picture(image)
    if picture.ndim != 3:
        raise BadInput(
            f"{model.name} was given an input of the shape {tuple(picture.shape)}; a picture is "
            f"(channels, height, width)."
        )
    # A copy: a tensor of the caller's must not be marked, nor be one of inference mode.
    return model.placed(picture.detach().clone().unsqueeze(0))


def _delta(answer: Answer, value: float) -> float | None:
    if not answer.complete or answer.baseline_score is None:
        return None
    total = float(answer.places.detach().double().sum()) + answer.elsewhere
    return total - (value - answer.baseline_score)


def _of_image(model: Model, given: Tensor, answer: Answer, common: dict[str, Any]) -> Attribution:
    places = answer.places.detach().float().cpu()
    size = tuple(given.shape[-2:])
    if tuple(places.shape) == size:
        heat = places
    else:
        drawn: dict[str, Any] = {"mode": "nearest"}
        if answer.smooth:
            drawn = {"mode": "bilinear", "align_corners": False}
        heat = nn.functional.interpolate(places[None, None], size=size, **drawn)[0, 0]
    return Attribution(
        heat=heat.numpy(),
        places=places.numpy(),
        picture=shown(model, given),
        elsewhere=answer.elsewhere,
        **common,
    )


def _of_text(
    model: Model, text: str, given: Tensor, answer: Answer, common: dict[str, Any]
) -> Attribution:
    names = tokens.readable(model, text, given)
    scores = answer.places[0].detach().float().cpu().numpy()
    padding = float(scores[len(names) :].astype(np.float64).sum())
    return Attribution(
        tokens=names, scores=scores[: len(names)], elsewhere=answer.elsewhere + padding, **common
    )


def shown(
    model: Model, given: Float[Tensor, "1 channels height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    """Undo the normalisation: what the model saw."""
    picture = given[0].detach().float().cpu()
    mean, std = (value.float().cpu()[:, None, None] for value in (model.mean, model.std))
    channels = (picture * std + mean).clamp(0, 1).mul(255).round().to(torch.uint8)
    if len(channels) != 3:
        channels = channels[:1].expand(3, -1, -1)
    return channels.permute(1, 2, 0).contiguous().numpy()
