"""The neuron page where people meet it: live in JupyterLab, and as a file without a network."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from accessible import accessible
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "02_multimodal_neurons.ipynb"
HOSTILE = "<img src=x onerror=alert(1)>"
UNITS = [17, 3, 200]

# A small ResNet with random weights, on a few stimuli; one concept has a name that is no friend.
SETUP = f"""
import open_clip, torch, lens
from lens.data import glyphs

torch.manual_seed(0)
clip = open_clip.CLIP(
    embed_dim=32,
    vision_cfg=dict(layers=[1, 1, 1, 1], width=8, image_size=64, patch_size=None),
    text_cfg=dict(context_length=16, vocab_size=49408, width=32, heads=2, layers=1),
).eval()
model = lens.wrap(
    clip, tokenizer=lambda texts: open_clip.tokenize(texts, context_length=16), name="tiny-rn"
)

class Renamed:
    def __init__(self, stimuli, old, new):
        self.stimuli = stimuli
        self.table = stimuli.table.replace({{"concept": {{old: new}}}})
    def __len__(self):
        return len(self.stimuli)
    def __getitem__(self, i):
        return self.stimuli[i]

concepts = glyphs().concepts[:6]
few = glyphs().stimuli(per_cell=4, size=64, concepts=concepts)
stimuli = Renamed(few, concepts[0], {HOSTILE!r})
site = model.site("image.layer4")
"""
PAGE = f"page = lens.neuron(site.unit(17), units={UNITS}, stimuli=stimuli, visualize=dict(steps=4))"
SAVE = "page.save('unit.html').name"


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """The page, saved by the notebook's own lines."""
    notebook: dict = {}
    exec(f"{SETUP}\n{PAGE}", notebook)
    return notebook["page"].save(tmp_path_factory.mktemp("saved") / "unit.html")


def neuron(page: Page, name: str):
    return page.locator(f".lens-neuron {name}")


def painted(page: Page) -> None:
    """Wait for the page of a unit to be complete, and check that the canvases are not blank."""
    expect(neuron(page, "h1")).to_be_visible()
    expect(page.locator(".lens-neuron")).to_have_attribute("aria-busy", "false")
    expect(neuron(page, ".picture")).to_have_attribute("data-state", "ready")
    expect(neuron(page, ".picture canvas")).to_have_count(1)
    expect(neuron(page, ".thumb canvas:first-child")).to_have_count(12)
    colours = page.evaluate(
        """[...document.querySelectorAll('.lens-neuron .picture canvas, .thumb canvas:first-child')]
        .map((canvas) => new Set(canvas.getContext('2d')
            .getImageData(0, 0, canvas.width, canvas.height).data).size)"""
    )
    assert len(colours) == 13
    assert min(colours) > 10, colours
    for part in ("wants", "excites", "responds", "sure", "spread", "words"):
        expect(neuron(page, f".{part} h2")).to_be_visible()
    expect(neuron(page, ".responds svg .bar")).not_to_have_count(0)
    expect(neuron(page, ".spread svg .every")).to_have_count(1)


def contents(page: Page) -> str:
    return neuron(page, ".body").inner_text()


def walk(page: Page) -> None:
    """Previous, next, jump, and a unit that does not exist; the unit is 17 before and after."""
    title, first = neuron(page, "h1"), contents(page)
    neuron(page, "button.next").click()
    expect(title).to_have_text("Unit 3")
    painted(page)
    assert contents(page) != first
    expect(neuron(page, ".listed [aria-current=true]")).to_have_text(re.compile("^3"))

    neuron(page, "h1").click()
    page.locator(".lens-neuron").press("ArrowRight")
    expect(title).to_have_text("Unit 200")
    expect(neuron(page, "button.next")).to_have_attribute("aria-disabled", "true")

    box = neuron(page, ".jump input")
    box.fill("999999")
    box.press("Enter")
    expect(neuron(page, ".notice")).to_have_text(
        re.compile("Unit 999999 does not exist: .* units 0 to")
    )
    box.fill("eleven")
    box.press("Enter")
    expect(neuron(page, ".notice")).to_have_text("“eleven” is not a unit number.")
    expect(title).to_have_text("Unit 200")

    box.fill("17")
    box.press("Enter")
    expect(title).to_have_text("Unit 17")
    expect(neuron(page, ".notice")).to_have_text("")
    painted(page)
    assert contents(page) == first


def readable(page: Page) -> None:
    """Check the contrast of text against its background: 4.5 to 1, as WCAG AA asks."""
    ratios = page.evaluate(
        """() => {
        const root = document.querySelector('.lens-neuron');
        const light = (colour) => {
            const pen = document.createElement('canvas').getContext('2d');
            pen.fillStyle = colour;
            pen.fillRect(0, 0, 1, 1);
            const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
                .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const paper = light(getComputedStyle(root).backgroundColor);
        const names = ['h1', '.verdict', '.hint', '.crumbs', 'dd', '.meaning', 'svg text', '.tick'];
        return names.map((name) => {
            const node = root.querySelector(name), style = getComputedStyle(node);
            const ink = light(node instanceof SVGElement ? style.fill : style.color);
            return [name, (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)];
        });
    }"""
    )
    assert all(ratio >= 4.5 for _, ratio in ratios), ratios


def look(page: Page, name: str) -> None:
    """Keep a screenshot where LENS_SCREENSHOTS names a folder: to be looked at, not compared."""
    folder = os.environ.get("LENS_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.locator(".lens-neuron").screenshot(path=Path(folder) / f"{name}.png")


def test_live_in_jupyterlab(lab, watch):
    watched = watch(lab.address)
    page = watched.page
    lab.run(page, lab.notebook("neuron.ipynb", [SETUP, f"{PAGE}\npage", SAVE]))
    painted(page)
    expect(neuron(page, "h1")).to_have_text("Unit 17")
    lab.finished(page)
    assert (lab.root / "unit.html").stat().st_size > 10_000
    walk(page)
    for theme in ("Light", "Dark"):
        lab.theme(page, f"JupyterLab {theme}")
        readable(page)
        look(page, f"lab-{theme.lower()}")
    watched.clean()


def test_the_notebook_runs_and_its_page_can_be_walked(lab, watch):
    watched = watch(lab.address)
    page = watched.page
    lab.run(page, lab.bring(nbformat.read(NOTEBOOK, 4), NOTEBOOK.name))
    lab.finished(page)
    painted(page)
    title, first = neuron(page, "h1").inner_text(), contents(page)
    second = neuron(page, ".listed button").nth(1).locator("b").inner_text()
    neuron(page, "button.next").click()
    expect(neuron(page, "h1")).to_have_text(f"Unit {second}")
    painted(page)
    assert contents(page) != first
    neuron(page, "button.previous").click()
    expect(neuron(page, "h1")).to_have_text(title)
    readable(page)
    look(page, "notebook")
    watched.clean()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [480, 900, 1400])
def test_saved_and_opened_without_a_network(saved, watch, scheme, width):
    own = saved.as_uri()
    watched = watch(
        own, color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True
    )
    page = watched.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(own)
    painted(page)
    expect(neuron(page, "h1")).to_have_text("Unit 17")
    readable(page)
    accessible(page, ".lens-neuron")
    look(page, f"saved-{scheme}-{width}")
    wide = page.evaluate("document.scrollingElement.scrollWidth")
    assert wide <= width, f"the page is {wide} pixels wide"
    if width == 1400:
        walk(page)
    assert asked == [own]
    watched.clean()


def test_a_saved_page_says_which_units_it_lacks(saved, watch):
    watched = watch("file:")
    page = watched.page
    page.goto(saved.as_uri())
    painted(page)
    box = neuron(page, ".jump input")
    box.fill("18")
    box.press("Enter")
    expect(neuron(page, ".notice")).to_have_text(
        re.compile(r"Unit 18 is not in this saved page, which holds 3 of the \d+ units\.")
    )
    watched.clean()


def test_the_keyboard_alone_shows_where(saved, watch):
    watched = watch("file:")
    page = watched.page
    page.goto(saved.as_uri())
    painted(page)
    veil = neuron(page, ".veil").first
    thumb = neuron(page, ".thumb").first
    expect(veil).to_have_css("opacity", "0")
    thumb.focus()
    expect(veil).to_have_css("opacity", "1")
    assert re.search(r"activation .*, most excited at the", thumb.get_attribute("aria-label"))
    page.locator(".lens-neuron").focus()
    expect(veil).to_have_css("opacity", "0")
    page.keyboard.press("h")
    expect(neuron(page, ".veil").last).to_have_css("opacity", "1")
    expect(neuron(page, ".where")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("/")
    expect(neuron(page, ".jump input")).to_be_focused()
    watched.clean()


def test_names_from_data_are_text(saved, watch):
    """The concept with a hostile name is there to read, and made no element."""
    watched = watch("file:")
    page = watched.page
    page.goto(saved.as_uri())
    painted(page)
    expect(neuron(page, ".responds table")).to_contain_text(HOSTILE)
    expect(neuron(page, "img")).to_have_count(0)
    watched.clean()
