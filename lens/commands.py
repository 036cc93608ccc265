"""What each command does with its arguments; ``lens.cli`` says which arguments there are."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lens.errors import BadInput, nearest

if TYPE_CHECKING:
    from lens.model import Model


def run_demo(chosen: argparse.Namespace) -> None:
    """Make the files of the demo, and open the notebook where somebody may look."""
    from lens.demo import demo, may_open, open_notebook

    demo(chosen.out, load=lambda: _model(chosen), units=chosen.units)
    if chosen.browser and may_open() and not open_notebook():
        print("the notebook is not part of an installed package; the page shows the same units")


def run_models(chosen: argparse.Namespace) -> None:
    """List the models that can be opened."""
    from lens import zoo
    from lens.families import open_clip

    if chosen.pattern is None:
        print("embedded, no network needed:")
        for name in zoo.names():
            print(f"  {name}")
        print(
            f"\nopen_clip: {len(open_clip.names())} architectures; "
            f"`lens models RN50` lists those whose name has RN50 in it, with their weights."
        )
        return
    names = [*zoo.names(), *open_clip.names()]
    found = [name for name in names if chosen.pattern.lower() in name.lower()]
    if not found:
        close = nearest(chosen.pattern, names)
        hint = f" Did you mean {', '.join(close)}?" if close else ""
        raise BadInput(f"No model has {chosen.pattern!r} in its name.{hint}")
    for name in found:
        embedded = name in zoo.names()
        print(f"{name}  {'embedded' if embedded else ' '.join(open_clip.tags(name)) or '-'}")


def run_capture(chosen: argparse.Namespace) -> None:
    """Capture into a file or a store, or tell how far a store is."""
    if chosen.status is not None:
        from lens.store.status import status

        print(status(chosen.status))
        return
    if not chosen.site:
        raise BadInput("Which sites? --sites image.layer4 names one; globs such as 'image.*' too.")
    if bool(chosen.inputs) == bool(chosen.data):
        raise BadInput("What is to be looked at? Give files, a folder or texts, or --data instead.")
    if chosen.store is None:
        _capture_in_memory(chosen)
        return
    from lens.capture.run import capture

    model = _model(chosen)
    sites = model.sites(chosen.site)
    store = capture(
        model,
        _inputs(chosen, sites[0].tower == "text"),
        sites,
        store=chosen.store,
        reduce=_reduction(chosen.reduce),
        quantize=chosen.quantize,
        batch_size=chosen.batch_size,
        budget=chosen.budget,
        workers=chosen.workers,
        engine=chosen.engine,
        strict=chosen.strict,
    )
    print(store)


def _capture_in_memory(chosen: argparse.Namespace) -> None:
    import numpy as np

    from lens.capture.run import capture

    out = _named(chosen.out, ".npz")
    model = _model(chosen)
    sites = model.sites(chosen.site)
    acts = capture(
        model,
        _inputs(chosen, sites[0].tower == "text"),
        sites,
        reduce=_reduction(chosen.reduce),
        batch_size=chosen.batch_size,
        strict=chosen.strict,
    )
    arrays: dict[str, Any] = {"inputs": np.array(acts.inputs), **acts}
    np.savez(out, **arrays)
    print(acts)
    print(f"saved {out}")


def _inputs(chosen: argparse.Namespace, text: bool) -> Any:
    """Say what is looked at: the embedded stimuli, a folder, files, or texts."""
    if chosen.data == "glyphs":
        from lens.data import glyphs

        return glyphs().stimuli(per_cell=12)
    given = [chosen.data] if chosen.data else chosen.inputs
    if text:
        return given
    paths = [Path(name) for name in given]
    missing = next((path for path in paths if not path.exists()), None)
    if missing is not None and len(paths) == 1:
        raise BadInput(f"There is no file or folder {str(missing)!r}.")
    return paths[0] if len(paths) == 1 else paths


def _reduction(name: str) -> str | None:
    return None if name in ("none", "full") else name


def run_visualize(chosen: argparse.Namespace) -> None:
    """Save what units want to see."""
    import lens

    out = _named(chosen.out, ".png")
    site = _model(chosen).site(chosen.site)
    units = site.units(chosen.units)
    vis = lens.visualize(units, steps=chosen.steps, size=chosen.size, seed=chosen.seed)
    vis.save(out)
    print(vis)
    print(f"saved {out}")


def run_multimodal(chosen: argparse.Namespace) -> None:
    """Print or save the table of multimodal units."""
    import lens
    from lens.data import glyphs
    from lens.demo import listed, summary

    out = None if chosen.out is None else _named(chosen.out, ".csv")
    model = _model(chosen)
    stimuli = glyphs().stimuli(
        chosen.per_cell, concepts=chosen.concepts, renderings=chosen.renderings
    )
    table = lens.multimodal(model, chosen.site, stimuli, correction=chosen.correction)
    print(summary(table, chosen.top) if chosen.top else listed(table))
    if out is not None:
        table.to_csv(out, index=False)
        print(f"saved {out}")


def run_microscope(chosen: argparse.Namespace) -> None:
    """Build the web site of a model."""
    from lens import store
    from lens.data import glyphs
    from lens.microscope.build import microscope

    stimuli = glyphs().stimuli(
        chosen.per_cell, concepts=chosen.concepts, renderings=chosen.renderings
    )
    pictures = {"steps": chosen.steps, "seed": chosen.seed} if chosen.steps else False
    site = microscope(
        _model(chosen),
        chosen.out,
        chosen.site,
        stimuli,
        units=chosen.units,
        activations=None if chosen.activations is None else store.open(chosen.activations),
        visualize=pictures,
        facets="multimodal" if chosen.facets else False,
        quality=chosen.quality,
        workers=chosen.workers,
        engine=chosen.engine,
        overwrite=chosen.overwrite,
    )
    print(site)
    for sentence in site.left_out:
        print(f"left out: {sentence}")
    if chosen.open:
        site.open()


def _model(chosen: argparse.Namespace) -> Model:
    import lens

    pretrained = None if chosen.pretrained == "none" else chosen.pretrained
    return lens.load(chosen.model, pretrained=pretrained, device=chosen.device)


def _named(path: str, suffix: str) -> Path:
    """Check where a result is to go before the work, not after it."""
    named = Path(path)
    if named.suffix.lower() != suffix:
        raise BadInput(f"--out names a {suffix} file, not {path!r}.")
    if not named.parent.is_dir():
        raise BadInput(f"--out is in a folder that does not exist: {str(named.parent)!r}.")
    return named
