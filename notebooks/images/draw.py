"""Draw the pictures of the README: ``python notebooks/images/draw.py [name ...]``.

Figures are saved as they are; of views and pages, Chromium takes a picture, without a network. Two
minutes for all of them on two cores, beside ``make demo``, which writes multimodal-units.png.
"""

from __future__ import annotations

import io
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pandas as pd
from PIL import Image

import lens
from lens.neurons.responses import Responses, responses

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "browser"))
CONCEPTS = ("volcano", "crown", "guitar", "fish", "dog", "pizza", "banana", "car", "violin", "frog")


@cache
def looked() -> tuple[Responses, pd.DataFrame]:
    """How the last stage answers to a few concepts, and which units answer to one of them."""
    site = lens.load().site("image.layer4")
    measured = responses(site, lens.data.glyphs().stimuli(8, concepts=CONCEPTS), progress=False)
    table = lens.multimodal(measured.values, table=measured.stimuli.table, progress=False)
    return measured, table.drop_duplicates("concept")


def units(count: int) -> list[lens.Unit]:
    return lens.load().site("image.layer4").units(looked()[1]["unit"].head(count))


def card() -> Image.Image:
    """One unit: what it wants, what excites it, how it answers, how sure we are."""
    return shown_figure(lens.figures.unit_card(units(1)[0], measured=looked()[0]))


def conditional() -> Image.Image:
    """What fills a unit's responses, from its weakest to its strongest."""
    return shown_figure(
        lens.figures.conditional_plot(
            units(1)[0], categories="concept", measured=looked()[0], width="double"
        )
    )


def facets() -> Image.Image:
    """Three units as a picture, a drawing and a written word."""
    return shown_figure(lens.figures.facet_sheet(lens.featurevis.facets(units(3), progress=False)))


def attention() -> Image.Image:
    """Every layer and head of the vision transformer, and where one patch looks."""
    dog = lens.data.glyphs().images("dog", "cartoon")[0]
    maps = lens.attention(lens.load("glyph-vit"), dog, "a dog")
    return screenshot(maps.explore().save, width=1180, height=890)


def embedding() -> Image.Image:
    """Every concept in two styles, near enough for the map to draw the pictures."""
    stimuli = lens.data.glyphs().stimuli(2, renderings=["cartoon", "drawing"])
    proj = lens.project(stimuli, model=lens.load(), neighbours=30, min_dist=0.5, progress=False)
    return screenshot(proj.save, width=1180, height=720, press=["Zoom in (+)"] * 7)


def microscope() -> Image.Image:
    """The web site's page of a stage, as it ships: its best units first."""

    def unpack(path: Path) -> None:
        with zipfile.ZipFile(HERE.parents[1] / "binder" / "microscope.zip") as packed:
            packed.extractall(path.parent)
        (place,) = path.parent.rglob("site.html")
        path.write_text(f'<meta http-equiv="refresh" content="0; url={place.as_uri()}">')

    return screenshot(unpack, width=1180, height=760)


PICTURES: dict[str, Callable[[], Image.Image]] = {
    each.__name__: each for each in (card, conditional, facets, attention, embedding, microscope)
}


def shown_figure(figure: lens.figures.Figure) -> Image.Image:
    with tempfile.TemporaryDirectory() as folder:
        return Image.open(io.BytesIO(figure.save(Path(folder) / "figure.png").read_bytes()))


def screenshot(
    save: Callable[[Path], object], *, width: int, height: int, press: Sequence[str] = ()
) -> Image.Image:
    """Open what `save` writes as a reader would, press buttons, and take a picture."""
    import chromium
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        save(path)
        browser = playwright.chromium.launch(
            executable_path=chromium.find(),
            args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
        )
        page = browser.new_page(
            viewport={"width": width, "height": height}, device_scale_factor=1.5, offline=True
        )
        page.goto(path.resolve().as_uri())
        page.wait_for_timeout(2000)
        for title in press:
            page.get_by_title(title).click()
        page.wait_for_timeout(2000)
        taken = page.screenshot()
        browser.close()
    return Image.open(io.BytesIO(taken))


def main() -> None:
    for name in sys.argv[1:] or PICTURES:
        path = HERE / f"{name}.webp"
        picture = PICTURES[name]().convert("RGB")
        picture.thumbnail((1770, 1770))
        picture.save(path, quality=82, method=6)
        print(f"{path.name}: {picture.width} x {picture.height}, {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
