"""Make the page that Binder shows first: units of the embedded model, looked at beforehand.

``python binder/pages.py pages/lens`` writes ``index.html``, the sheet of the best units, the page
of the best one, and unpacks the Microscope. None of them needs a kernel or a network. With
``--serve``, Jupyter servers of this environment show them at ``static/lens/``: as pages of their
own, which files of the file browser (``files/``) are not; those may run in a sandbox only, and not
lead to each other.
"""

from __future__ import annotations

import argparse
import html
import json
import sys
from pathlib import Path

from microscope import unpack  # it stands beside this file

from lens.demo import demo

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>lens: what units want to see</title>
<style>
  :root {{ color-scheme: light dark; }}
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto;
         padding: 0 1rem; }}
  h1 {{ font-size: 1.6rem; margin-bottom: .2rem; }}
  img {{ width: 100%; height: auto; border-radius: 8px; }}
  a {{ color: inherit; }}
  ol {{ padding-left: 1.4rem; }}
</style>
</head>
<body>
<h1>What units want to see</h1>
<p>Units of a small CLIP model that answer to one idea, whether it is pictured, drawn or written.
These pages were made beforehand: nothing is running yet.
<a href="microscope/index.html">Open the Microscope</a>: a page for each of {pages} units,
<a href="{unit}">the page of the best unit</a>, or a notebook:</p>
<ol>
{notebooks}
</ol>
<a href="{unit}"><img src="{sheet}"
  alt="{count} units: what each wants to see, beside the stimuli that excite it most"></a>
</body>
</html>
"""


def write(folder: Path, units: int = 12) -> Path:
    """Write the pages; return the first of them."""
    unit = demo(folder, units=units)
    unpack(folder / "microscope")
    pages = len(list((folder / "microscope" / "0" / "unit").glob("*.html")))
    links = "\n".join(
        f'  <li><a href="../../lab/tree/notebooks/{path.name}">{html.escape(_title(path))}</a></li>'
        for path in sorted(NOTEBOOKS.glob("*.ipynb"))
    )
    index = folder / "index.html"
    index.write_text(
        PAGE.format(
            unit=html.escape(unit.name),
            sheet="contact-sheet.png",
            notebooks=links,
            count=units,
            pages=pages,
        ),
        encoding="utf-8",
    )
    return index


def serve(folder: Path) -> Path:
    """Have the Jupyter servers of this environment show a folder at ``static/`` and its name."""
    # In the folder jupyter_server_config.d servers look up extensions alone.
    config = Path(sys.prefix) / "etc" / "jupyter" / "jupyter_server_config.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    told = json.loads(config.read_text(encoding="utf-8")) if config.exists() else {}
    told.setdefault("ServerApp", {})["extra_static_paths"] = [str(folder.resolve().parent)]
    config.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return config


def _title(path: Path) -> str:
    return path.stem[3:].replace("_", " ").capitalize()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("pages/lens"))
    parser.add_argument("--serve", action="store_true", help="have Jupyter servers show them")
    chosen = parser.parse_args()
    print(write(chosen.folder))
    if chosen.serve:
        print(serve(chosen.folder))
