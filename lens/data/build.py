"""Build the glyph atlas from the original picture sets: ``python -m lens.data.build``.

Installs the picture sets and fonts by name with npm into a scratch folder, joins them by code
point, keeps the concepts that every set draws, renders each to 128 px and writes three things
beside this file: ``glyphs.webp`` (one atlas), ``glyphs.json`` (its index) and ``fonts/``.
Needs node's ``npm`` and the ``build`` extra (resvg for the SVG sets).
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lens.data.curation import EXCLUDED, WRITING

HERE = Path(__file__).parent
TILE = 128
COLUMNS = 30
MAX_LETTERS = 9
# A tag has to be shared to be an idea, and to leave most concepts out to mean something.
TAG_SIZES = range(4, 61)

PACKAGES = {
    "emoji-datasource-google": "16.0.0",
    "emoji-datasource-twitter": "16.0.0",
    "@lobehub/fluent-emoji-3d": "1.1.0",
    "fluentui-emoji": "1.3.0",
    "emojilib": "4.0.3",
}

# family and weight; words.py says which of them are kept out of training
FONTS = [
    ("open-sans", 400),
    ("open-sans", 700),
    ("roboto-slab", 700),
    ("lora", 400),
    ("oswald", 700),
    ("caveat", 700),
    ("comic-neue", 700),
    ("anton", 400),
    ("courier-prime", 700),
    ("playfair-display", 700),
    ("montserrat", 700),
    ("bitter", 700),
    ("fredoka", 700),
    ("permanent-marker", 400),
    ("josefin-sans", 700),
    ("archivo-black", 400),
    ("quicksand", 700),
    ("lato", 700),
    ("merriweather", 700),
    ("inconsolata", 700),
    ("patrick-hand", 400),
]


@dataclass(frozen=True)
class Drawn:
    """One concept and where each picture set keeps its drawing."""

    concept: str
    char: str
    group: str
    subgroup: str
    keywords: tuple[str, ...]
    image: str
    code: str
    slug: str


def install(folder: Path) -> Path:
    """Install the picture sets and fonts by name; returns the ``node_modules`` folder."""
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    wanted += sorted({f"@fontsource/{family}" for family, _ in FONTS})
    (folder / "package.json").write_text('{"name": "glyphs", "private": true}\n')
    subprocess.run(["npm", "install", "--ignore-scripts", *wanted], cwd=folder, check=True)
    return folder / "node_modules"


def drawn_by_all(modules: Path) -> Iterator[Drawn]:
    """Concepts that every set draws and that one short word names, in the sets' own order."""
    table = json.loads((modules / "emoji-datasource-google/emoji.json").read_text())
    keywords = json.loads((modules / "emojilib/dist/emoji-en-US.json").read_text())
    solid = {p.stem for p in (modules / "@lobehub/fluent-emoji-3d/assets").iterdir()}
    flat = {p.stem for p in (modules / "fluentui-emoji/icons/flat").iterdir()}
    line = {p.stem for p in (modules / "fluentui-emoji/icons/high-contrast").iterdir()}
    seen: set[str] = set()
    for row in sorted(table, key=lambda row: row["sort_order"]):
        if row["category"] in ("Flags", "Component"):
            continue
        if not (row["has_img_google"] and row["has_img_twitter"]):
            continue
        char = "".join(chr(int(code, 16)) for code in row["unified"].split("-"))
        words = keywords.get(char) or keywords.get(char.removesuffix("\ufe0f")) or []
        names = [*row["short_names"], *words[:1]]
        concept = next((n for n in names if re.fullmatch(rf"[a-z]{{2,{MAX_LETTERS}}}", n)), None)
        codes = (row["unified"].lower(), row["unified"].lower().removesuffix("-fe0f"))
        code = next((c for c in codes if c in solid), None)
        slugs = (_slug(n) for n in (*words[:1], row["name"], *row["short_names"]))
        slug = next((s for s in slugs if s in flat and s in line), None)
        if concept is None or code is None or slug is None or concept in seen:
            continue
        if concept in EXCLUDED:
            continue
        seen.add(concept)
        yield Drawn(
            concept,
            char,
            row["category"],
            row["subcategory"],
            tuple(w for w in words if re.fullmatch(r"[a-z]{3,12}", w)),
            row["image"],
            code,
            slug,
        )


def tags(concepts: list[Drawn]) -> dict[str, list[str]]:
    """Ideas that several concepts share: keywords and subgroup words of the sets' metadata."""
    own = {
        d.concept: sorted({*d.keywords, *re.findall(r"[a-z]{3,}", d.subgroup)} - {d.concept})
        for d in concepts
    }
    shared = Counter(tag for words in own.values() for tag in words)
    return {c: [t for t in words if shared[t] in TAG_SIZES] for c, words in own.items()}


def tiles(concepts: list[Drawn], modules: Path) -> Iterator[tuple[str, Image.Image]]:
    """(rendering, RGBA tile) of every concept, a rendering at a time."""
    for rendering, package, style in (
        ("cartoon", "emoji-datasource-google", "google"),
        ("icon", "emoji-datasource-twitter", "twitter"),
    ):
        for d in concepts:  # both sets ship 64 px
            yield rendering, Image.open(modules / package / f"img/{style}/64/{d.image}")
    for d in concepts:
        yield "render", Image.open(modules / f"@lobehub/fluent-emoji-3d/assets/{d.code}.webp")
    for rendering, style in (("flat", "flat"), ("drawing", "high-contrast")):
        for d in concepts:
            yield rendering, _render_svg(modules / f"fluentui-emoji/icons/{style}/{d.slug}.svg")


def write(modules: Path, out: Path, quality: int) -> None:
    """Write the atlas, its index and the fonts into `out`."""
    concepts = list(drawn_by_all(modules))
    renderings = ["cartoon", "icon", "render", "flat", "drawing"]
    count = len(concepts)
    rows = -(-count * len(renderings) // COLUMNS)
    atlas = Image.new("RGBA", (COLUMNS * TILE, rows * TILE))
    for i, (_, tile) in enumerate(tiles(concepts, modules)):
        tile = tile.convert("RGBA").resize((TILE, TILE), Image.Resampling.LANCZOS)
        atlas.paste(tile, (i % COLUMNS * TILE, i // COLUMNS * TILE))
    atlas.save(out / "glyphs.webp", quality=quality, method=6, alpha_quality=90)

    shared = tags(concepts)
    fonts = out / "fonts"
    shutil.rmtree(fonts, ignore_errors=True)
    fonts.mkdir()
    for family, weight in FONTS:
        name = f"files/{family}-latin-{weight}-normal.woff2"
        shutil.copy(modules / "@fontsource" / family / name, fonts / f"{family}-{weight}.woff2")
    index = {
        "tile": TILE,
        "columns": COLUMNS,
        "renderings": renderings,
        "packages": PACKAGES,
        "concepts": [
            {
                "name": d.concept,
                "char": d.char,
                "group": d.group,
                "tags": shared[d.concept],
                "writing": d.concept in WRITING,
            }
            for d in concepts
        ],
    }
    text = json.dumps(index, ensure_ascii=False, indent=None, separators=(",", ":"))
    # One concept a line, so that a change of the set can be read as a diff.
    (out / "glyphs.json").write_text(text.replace('{"name"', '\n{"name"') + "\n")
    size = (out / "glyphs.webp").stat().st_size / 2**20
    print(f"{count} concepts, {count * len(renderings)} tiles, {size:.1f} MiB atlas")


def main(argv: list[str] | None = None) -> None:
    """Entry point of ``python -m lens.data.build``."""
    parser = argparse.ArgumentParser(prog="python -m lens.data.build", description=__doc__)
    parser.add_argument("--packages", type=Path, help="a node_modules folder to use as it is")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--quality", type=int, default=80)
    args = parser.parse_args(argv)
    if args.packages:
        write(args.packages, args.out, args.quality)
        return
    with tempfile.TemporaryDirectory() as scratch:
        write(install(Path(scratch)), args.out, args.quality)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _render_svg(path: Path) -> Image.Image:
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_path=str(path), width=TILE, height=TILE)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


if __name__ == "__main__":
    main()
