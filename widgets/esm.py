"""One ES module out of several files, as anywidget and a saved page take it."""

from __future__ import annotations

import re
from pathlib import Path

# import { a, b } from "../draw.js";
IMPORT = re.compile(r'^import \{[^}]*\} from "(\.{1,2}/[^"]+)";\n', re.MULTILINE)
COMMENT = re.compile(r"^ *//.*\n", re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)


def module(path: Path) -> str:
    """Read an ES module with the files that it imports put in their places.

    There is no build step, and a browser cannot import from a widget's other files. So views share
    code through named imports of relative files, and all of them end up in one scope: a top-level
    name stands for one thing throughout. Lines of comment stay behind: every instance of a widget
    carries its whole module.

    Parameters
    ----------
    path
        The view's own file; it keeps its ``export default``.
    """
    put: set[Path] = set()

    def read(file: Path) -> str:
        if file in put:
            return ""
        put.add(file)
        text = file.read_text(encoding="utf-8")
        return IMPORT.sub(lambda found: read((file.parent / found[1]).resolve()) + "\n", text)

    return COMMENT.sub("", EXPORT.sub("", read(path.resolve())))
