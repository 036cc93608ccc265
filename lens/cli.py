"""The same words on the command line: ``lens demo | models | capture | visualize | ...``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from lens import commands
from lens.allocator import keep_freed_memory
from lens.errors import LensError, nearest

if TYPE_CHECKING:
    pass

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
    known = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def command(name: str, run, does: str, example: str) -> argparse.ArgumentParser:
        added = known.add_parser(
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
        commands.run_demo,
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

    models = command(
        "models", commands.run_models, "the models that can be opened", "lens models RN50"
    )
    models.add_argument("pattern", nargs="?", help="part of a name")

    capture = command(
        "capture",
        commands.run_capture,
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
        commands.run_visualize,
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
        commands.run_multimodal,
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
        commands.run_microscope,
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
        "--no-facets",
        dest="facets",
        action="store_false",
        help="one picture a unit; else the best multimodal ones have one for each facet too",
    )
    microscope.add_argument(
        "--no-quality",
        dest="quality",
        action="store_false",
        help="do not measure how good the pictures are",
    )
    microscope.add_argument(
        "--workers",
        type=_positive,
        metavar="N",
        help="processes that draw (1: this one), or Ray actors; default: as many as help",
    )
    microscope.add_argument("--engine", choices=["local", "ray"], default="local")
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
