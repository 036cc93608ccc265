"""What every unit of a site answers to every stimulus: one pass, shared by all that looks at it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm.auto import tqdm

from lens.capture.hooks import record
from lens.errors import BadInput
from lens.pictures import open_picture
from lens.precision import Precision, autocast, in_bf16
from lens.sites import Site, unit_values

if TYPE_CHECKING:
    from lens.model import Model

Pool = Literal["mean", "cls", "max"]

# Passes kept in memory: the site that is looked at, the one before it, and one to compare with.
KEPT = 3
_kept: OrderedDict[tuple[str, ...], Responses] = OrderedDict()


@dataclass(frozen=True, eq=False)
class Responses:
    """Values of all units of a site for all stimuli.

    Attributes
    ----------
    site
        Where they were taken: before the final ReLU, where there is one.
    pool
        How positions became one value.
    stimuli
        What was shown; ``stimuli[i]`` is a PIL image.
    values
        (stimuli, units) float32.
    embeddings
        (stimuli, dim) float32, unit norm: the stimuli in the joint space; None for a model without.
    """

    site: Site
    pool: Pool
    stimuli: Any
    values: Float[np.ndarray, "stimuli units"]
    embeddings: Float[np.ndarray, "stimuli dim"] | None

    @property
    def table(self) -> pd.DataFrame:
        """A row a stimulus: concept, rendering, split, ..."""
        return self.stimuli.table


def responses(
    site: Site,
    stimuli: Any = None,
    *,
    activations: Any = None,
    pool: Pool | None = None,
    precision: Precision = "auto",
    batch_size: int = 64,
    progress: bool = True,
) -> Responses:
    """Show all stimuli to the model once, and keep what every unit of a site answers.

    The last passes are kept in memory by model weights, site and stimuli: the multimodal table, a
    neuron page and the demo share one. The image embeddings come from the same pass the first time
    that a model sees the stimuli; a pass for a second site ends at that site.

    Parameters
    ----------
    site
        A site of the image tower. The values are those before its final ReLU, where there is one:
        a ReLU makes all that does not excite a unit equal.
    stimuli
        Anything with ``len``, ``[i]`` giving a PIL image, and a ``.table`` with columns ``concept``
        and ``rendering``; the embedded glyphs if not given.
    activations
        What `lens.capture` made of these stimuli, in memory or a store: taken in a pass's place,
        with the image embeddings if they were captured too.
    pool
        "mean" or "max" over the places of the picture, or "cls" for the class token alone. Default:
        the mean of a feature map; the class token where there is one (in the last block of a
        ViT, it alone reaches the embedding).
    precision
        The model's arithmetic: ``"auto"`` is bfloat16 where the machine is faster at it, which
        moves values by a few hundredths of the largest at most; ``"fp32"`` and ``"bf16"`` insist.
    batch_size
        Stimuli a forward pass.
    progress
        Show a progress bar.

    Raises
    ------
    BadInput
        For a site of the text tower, stimuli without a table, a ``pool`` that the site lacks, or
        an unknown precision.
    """
    if site.tower != "image":
        raise BadInput(
            f"The stimuli are pictures, and {site.name} is in the {site.tower} tower of "
            f"{site.model.name}; choose a site of the image tower."
        )
    site = site.pre_activation
    stimuli = default_stimuli() if stimuli is None else stimuli
    if not isinstance(getattr(stimuli, "table", None), pd.DataFrame) or not len(stimuli):
        raise BadInput(
            "Stimuli need a `.table` that says which concept and rendering each one shows, such as "
            "lens.data.glyphs().stimuli() has."
        )
    if activations is not None:
        from lens.neurons.captured import captured_responses

        return captured_responses(activations, site, stimuli, pool)
    chosen: Pool = pool or ("cls" if site.n_prefix else "mean")
    bf16 = in_bf16(precision, site.model.device)
    seen = (site.model.fingerprint, stimuli_key(stimuli), "bf16" if bf16 else "fp32")
    key = (*seen, site.path, site.at, chosen)
    if key in _kept:
        _kept.move_to_end(key)
        return _kept[key]

    known = next((r.embeddings for k, r in _kept.items() if k[:3] == seen), None)
    found = _look(site, stimuli, chosen, known, bf16, batch_size, progress)
    _kept[key] = found
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return found


def default_stimuli() -> Any:
    """Give the embedded glyphs: twelve stimuli of every concept in every rendering.

    The fewer are held out, the fewer units can pass the correction for so many tests.
    """
    from lens.data import glyphs

    return glyphs().stimuli(per_cell=12)


def default_site(model: Model) -> Site:
    """Choose where to look for ideas: the last stage, or the last block's neurons.

    Raises
    ------
    BadInput
        For a model whose architecture offers neither.
    """
    for kind in ("stage", "neurons", "block"):
        sites = model.sites(lambda site: site.tower == "image" and site.kind == kind)  # noqa: B023
        if sites:
            return sites[-1]
    raise BadInput(f"{model.name} has no stages or blocks; name a site out of `model.sites`.")


def stimuli_key(stimuli: Any) -> str:
    """Name stimuli by their content; their own `key` where they have one."""
    own = getattr(stimuli, "key", None)
    if own is not None:
        return str(own)
    return f"object {id(stimuli)}"


def pictures(stimuli: Any, rows: Sequence[int] | np.ndarray) -> UInt8[np.ndarray, "rows h w 3"]:
    """Give some stimuli as pixels."""
    if hasattr(stimuli, "pixels"):
        return stimuli.pixels(rows)
    return np.stack([np.asarray(_picture(stimuli, int(row))) for row in rows])


def batches(stimuli: Any, model: Model, rows: np.ndarray, batch_size: int) -> Iterator[Tensor]:
    """Give some stimuli as the model takes them; the next batch is drawn as one is looked at."""
    parts = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    as_they_are = len(rows) > 0 and _fit_as_they_are(stimuli, model)

    def batch(part: np.ndarray) -> Tensor:
        if as_they_are:
            pixels = torch.from_numpy(stimuli.pixels(part)).movedim(-1, 1)
            ready = model.normalize(pixels.float() / 255)
        else:
            ready = torch.stack([model.preprocess(_picture(stimuli, int(row))) for row in part])
        # Channels last in memory: convolutions on a CPU are then a third faster.
        return ready.contiguous(memory_format=torch.channels_last)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="lens-stimuli") as ahead:
        coming = [ahead.submit(batch, part) for part in parts[:1]]
        for following in [*parts[1:], None]:
            ready = coming.pop().result()
            if following is not None:
                coming.append(ahead.submit(batch, following))
            yield ready


@torch.no_grad()
def _look(
    site: Site,
    stimuli: Any,
    pool: Pool,
    embeddings: np.ndarray | None,
    bf16: bool,
    batch_size: int,
    progress: bool,
) -> Responses:
    model = site.model
    values = np.empty((len(stimuli), site.n_units), dtype=np.float32)
    embedding = _embedding_site(model) if embeddings is None else None
    embedded: list[np.ndarray] = []
    sites = [site] if embedding is None or embedding == site else [site, embedding]

    start = 0
    shown = batches(stimuli, model, np.arange(len(stimuli)), batch_size)
    with (
        record(sites) as taps,
        tqdm(
            total=len(stimuli), desc=f"{model.name} looks", unit="img", disable=not progress
        ) as bar,
    ):
        for batch in shown:
            with autocast(model.device, bf16):
                taps.forward(batch)
            tensor = taps[site.name].float()
            stop = start + len(batch)
            values[start:stop] = unit_values(site, tensor, pool).cpu().numpy()
            if embedding is not None:
                output = taps[embedding.name].float()
                embedded.append(torch.nn.functional.normalize(output, dim=-1).cpu().numpy())
            start = stop
            bar.update(len(batch))
    if embedded:
        embeddings = np.concatenate(embedded)
    return Responses(site, pool, stimuli, values, embeddings)


def _embedding_site(model: Model) -> Site | None:
    name = "image.embedding"
    return model.site(name) if "text" in model.towers and model.has_site(name) else None


def _fit_as_they_are(stimuli: Any, model: Model) -> bool:
    """Tell whether the model's own preprocessing would leave the stimuli's pixels alone."""
    if not hasattr(stimuli, "pixels"):
        return False
    pixels = stimuli.pixels([0])
    if pixels.shape[1:3] != tuple(model.image_size) or len(model.mean) != 3:
        return False
    plain = model.normalize(torch.from_numpy(pixels).movedim(-1, 1).float() / 255)[0]
    own = model.preprocess(_picture(stimuli, 0))
    return own.shape == plain.shape and torch.allclose(own, plain, atol=1e-5)


def _picture(stimuli: Any, row: int) -> Any:
    item = stimuli[row]
    return open_picture(item[0] if isinstance(item, tuple) else item, f"Stimulus {row}")
