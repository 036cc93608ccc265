"""What the views weigh: bytes of code of each, and of a notebook with ten of them.

    python benchmarks/views.py

Every view that is shown carries its whole module and style sheet, nothing is loaded from elsewhere.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import lens.widgets
from lens.widgets.esm import module
from lens.widgets.theme import styles

HERE = Path(lens.widgets.__file__).parent
LIMIT, TOGETHER = 60_000, 1_000_000
TEN = 10


def views() -> list[tuple[str, str, str]]:
    """Give each view's name, module and style sheet."""
    found = []
    for script in sorted(HERE.glob("*/*.js")):
        if "export default" in script.read_text(encoding="utf-8"):
            found.append((script.parent.name, module(script), styles(script.with_suffix(".css"))))
    return found


def main() -> None:
    head = f"{'view':<16} {'script':>8} {'style':>8} {'gzip':>8}"
    print(f"{head}  bytes; a script has at most {LIMIT:,}")
    sizes = []
    for name, script, style in views():
        js, css = len(script.encode()), len(style.encode())
        packed = len(gzip.compress((script + style).encode(), mtime=0))
        sizes.append((js, css, packed))
        print(f"{name:<16} {js:>8,} {css:>8,} {packed:>8,}  {'kept' if js <= LIMIT else 'BROKEN'}")
    each = [sum(column) for column in zip(*sizes, strict=True)]
    print(f"{f'all {len(sizes)}':<16} {each[0]:>8,} {each[1]:>8,} {each[2]:>8,}")
    largest = TEN * max(js + css for js, css, _ in sizes)
    word = "kept" if largest < TOGETHER else "BROKEN"
    print(f"ten of the largest: {largest:,} bytes; limit {TOGETHER:,}  {word}")


if __name__ == "__main__":
    main()
