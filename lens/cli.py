"""The same words on the command line: ``lens demo | models | capture | visualize | ...``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lens.allocator import keep_freed_memory
from lens.errors import BadInput, LensError, nearest

if TYPE_CHECKING:
    from lens.model import Model

COMMANDS = ("demo", "models", "capture", "visualize", "multimodal", "microscope")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 2 for a user's mistake, said in one line.

    Parameters
    ----------
    arguments
        What stands after ``lens``; the process's own if not given.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:  # a process of our own
        keep_freed_memory()
    try:
        chosen = _parser().parse_args(given)
        chosen.run(chosen)
    except LensError as error:
        return _fail(str(error))
    except BrokenPipeError:  # `lens multimodal | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None:
            raise
        return _fail(f"{error.filename}: {error.strerror}.")
    except KeyboardInterrupt:
        return 130
    return 0


def _fail(sentence: str) -> int:
    print(f"lens: {sentence}", file=sys.stderr)
    return 2


# The commands ----------------------------------------------------------------------------------


def _demo(chosen: argparse.Namespace) -> None:
    from lens.demo import demo, may_open, open_notebook

    demo(chosen.out, load=lambda: _model(chosen), units=chosen.units)
    if chosen.browser and may_open() and not open_notebook():
        print("the notebook is not part of an installed package; the page shows the same units")


def _models(chosen: argparse.Namespace) -> None:
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


def _capture(chosen: argparse.Namespace) -> None:
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


def _visualize(chosen: argparse.Namespace) -> None:
    import lens

    out = _named(chosen.out, ".png")
    site = _model(chosen).site(chosen.site)
    units = site.units(chosen.units)
    vis = lens.visualize(units, steps=chosen.steps, size=chosen.size, seed=chosen.seed)
    vis.save(out)
    print(vis)
    print(f"saved {out}")


def _multimodal(chosen: argparse.Namespace) -> None:
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


def _microscope(chosen: argparse.Namespace) -> None:
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
        overwrite=chosen.overwrite,
    )
    print(site)
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


# The words -------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest right thing."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice" in message and self.prog == "lens":
            word = message.split("invalid choice: ")[1].split("'")[1]
            close = nearest(word, COMMANDS, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(COMMANDS)}"
            message = f"there is no command {word!r}; {hint}"
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="lens",
        description="Look inside multimodal models.",
        epilog="example:\n  lens demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def command(name: str, run, does: str, example: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name,
            help=does,
            description=does[0].upper() + does[1:] + ".",
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        return added

    demo = command(
        "demo",
        _demo,
        "the multimodal units of a model: a table, a contact sheet and a page, in a minute",
        "lens demo --no-browser",
    )
    demo.add_argument("--out", default="lens-demo", metavar="FOLDER", help="default: lens-demo")
    demo.add_argument(
        "--units", type=_positive, default=24, help="how many units are visualized; default: 24"
    )
    demo.add_argument(
        "--no-browser",
        dest="browser",
        action="store_false",
        help="stop after the files; else the notebook opens in JupyterLab (NO_BROWSER=1 and "
        "output that is not a terminal stop there too)",
    )
    _add_model(demo)

    models = command("models", _models, "the models that can be opened", "lens models RN50")
    models.add_argument("pattern", nargs="?", help="part of a name")

    capture = command(
        "capture",
        _capture,
        "what sites of a model compute on pictures or texts, as an .npz file or a store on disk",
        "lens capture --data photos/ --sites image.layer4 --reduce mean --store acts.zarr\n"
        "  lens capture --status acts.zarr\n"
        "  lens capture photos/ --site image.layer4 --out acts.npz",
    )
    capture.add_argument(
        "inputs", nargs="*", metavar="INPUT", help="pictures or a folder; texts for a text site"
    )
    capture.add_argument(
        "--data", metavar="DATA", help="a folder; or glyphs, 12 of every concept and rendering"
    )
    sites = capture.add_mutually_exclusive_group()
    sites.add_argument("--site", action="append", metavar="SITE", help="a name or glob; repeatable")
    sites.add_argument("--sites", dest="site", nargs="+", metavar="SITE", help="several of them")
    capture.add_argument(
        "--reduce",
        default="none",
        metavar="HOW",
        help="mean, max, cls or eot: one number a unit; top8: the 8 largest positions (to a "
        "store); default: none, everything",
    )
    capture.add_argument(
        "--store", metavar="FOLDER", help="stream there; the same command again goes on"
    )
    capture.add_argument("--status", metavar="STORE", help="tell how far a store is, and stop")
    capture.add_argument("--quantize", choices=["uint8"], help="a byte a number in the store")
    capture.add_argument(
        "--budget", metavar="SIZE", help="such as '20 GB'; default: what is free on the disk"
    )
    capture.add_argument("--workers", type=_positive, metavar="N", help="threads, or Ray actors")
    capture.add_argument("--engine", choices=["local", "ray"], default="local")
    capture.add_argument("--batch-size", type=_positive, default=64, help="default: 64")
    capture.add_argument("--strict", action="store_true", help="stop at a file that can't be read")
    capture.add_argument("--out", default="activations.npz", help="default: activations.npz")
    _add_model(capture)

    visualize = command(
        "visualize",
        _visualize,
        "images that excite units most, as a .png file",
        "lens visualize image.layer4 17 42 --out units.png",
    )
    visualize.add_argument("site", metavar="SITE", help="such as image.layer4")
    visualize.add_argument("units", nargs="+", type=int, metavar="UNIT", help="numbers of units")
    visualize.add_argument("--steps", type=_positive, default=256, help="default: 256")
    visualize.add_argument("--size", type=_positive, help="pixels; default: the model's own")
    visualize.add_argument("--seed", type=int, default=0, help="default: 0")
    visualize.add_argument("--out", default="units.png", help="default: units.png")
    _add_model(visualize)

    multimodal = command(
        "multimodal",
        _multimodal,
        "units that answer to one concept however it is shown, ranked and tested",
        "lens multimodal --renderings cartoon drawing word --out units.csv",
    )
    multimodal.add_argument("--site", help="default: the last stage")
    multimodal.add_argument(
        "--per-cell",
        type=_positive,
        default=8,
        metavar="N",
        help="stimuli of each concept in each rendering; default: 8",
    )
    multimodal.add_argument("--concepts", nargs="+", metavar="C", help="default: all")
    multimodal.add_argument("--renderings", nargs="+", metavar="R", help="default: all")
    multimodal.add_argument("--correction", choices=["bh", "adafilter"], default="bh")
    multimodal.add_argument("--top", type=int, default=20, help="rows shown; 0: all; default: 20")
    multimodal.add_argument("--out", metavar="FILE", help="save the whole table as .csv")
    _add_model(multimodal)

    microscope = command(
        "microscope",
        _microscope,
        "a static web site with a page for every unit; the same command again goes on",
        "lens microscope glyph-rn --out site/ --site image.layer4 --units 0-63",
    )
    microscope.add_argument("--out", required=True, metavar="FOLDER", help="new, empty or begun")
    microscope.add_argument(
        "--site", action="append", metavar="SITE", help="a name or glob; repeatable; default: the "
        "last stage"
    )  # fmt: skip
    microscope.add_argument("--units", type=_ranges, metavar="0-63,80", help="default: all")
    microscope.add_argument(
        "--steps", type=_count, default=128, help="of each visualization; 0: none; default: 128"
    )
    microscope.add_argument("--seed", type=int, default=0, help="default: 0")
    microscope.add_argument(
        "--per-cell",
        type=_positive,
        default=12,
        metavar="N",
        help="stimuli of each concept in each rendering; default: 12",
    )
    microscope.add_argument("--concepts", nargs="+", metavar="C", help="default: all")
    microscope.add_argument("--renderings", nargs="+", metavar="R", help="default: all")
    microscope.add_argument(
        "--activations", metavar="STORE", help="what lens capture made of these stimuli"
    )
    microscope.add_argument(
        "--overwrite", action="store_true", help="replace another web site in that folder"
    )
    microscope.add_argument("--open", action="store_true", help="show it in a browser")
    _add_model(microscope, named=True)
    return parser


def _add_model(parser: argparse.ArgumentParser, named: bool = False) -> None:
    told = {"default": "glyph-rn", "help": "see `lens models`; default: glyph-rn"}
    if named:
        parser.add_argument("model", nargs="?", metavar="MODEL", **told)  # type: ignore[arg-type]
    else:
        parser.add_argument("--model", **told)  # type: ignore[arg-type]
    parser.add_argument(
        "--pretrained",
        default="default",
        metavar="TAG",
        help="tag or file of weights; none: random weights",
    )
    parser.add_argument("--device", help="such as cpu or cuda; default: a GPU where there is one")


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def _count(text: str) -> int:
    return 0 if text.strip() == "0" else _positive(text)


def _ranges(text: str) -> list[int]:
    """Read numbers and ranges of units, such as 0-63,80."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash) and len(first + last) < 15):
            raise argparse.ArgumentTypeError(
                f"{part!r} is no unit and no range of units, such as 17 or 0-63"
            )
        found += range(int(first), int(last or first) + 1)
    return found


def _version() -> str:
    import lens

    return f"lens {lens.__version__}"


if __name__ == "__main__":
    sys.exit(main())
