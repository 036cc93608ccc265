"""The web site of a model as a visitor has it: opened from the disk, without a network."""

from __future__ import annotations

import os
import re
from pathlib import Path

import open_clip
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

import lens
from lens.data import glyphs

pytestmark = pytest.mark.browser

CONCEPTS = ["dog", "pizza", "guitar", "volcano", "crown", "fish"]
HOSTILE = "<img src=x onerror=alert(1)>"
# FEATURED is a unit with facets.
PAGES = ["index.html", "0/site.html", "0/site.html#view=table", "0/unit/17.html",
         "0/unit/FEATURED.html",
         "search.html#q=pizza", "compare.html#layer4/17,layer4/3"]  # fmt: skip


class Renamed:
    def __init__(self, stimuli):
        self.stimuli = stimuli
        self.table = stimuli.table.replace({"concept": {"fish": HOSTILE}})

    def __len__(self):
        return len(self.stimuli)

    def __getitem__(self, i):
        return self.stimuli[i]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        clip = open_clip.CLIP(
            embed_dim=32,
            vision_cfg={"layers": [1, 1, 1, 1], "width": 8, "image_size": 64, "patch_size": None},
            text_cfg={"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2,
                      "layers": 1},
        ).eval()  # fmt: skip
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    model = lens.wrap(clip, tokenizer=tokenizer, name="tiny-rn")
    stimuli = glyphs().stimuli(
        per_cell=4, size=64, concepts=CONCEPTS, renderings=["cartoon", "drawing", "word"]
    )
    with pytest.MonkeyPatch.context() as patch:
        # Random weights answer to nothing: whatever was tested counts as found.
        patch.setattr("lens.microscope.featured.ACCEPTED", 2.0)
        return lens.microscope(
            model, tmp_path_factory.mktemp("microscope") / "site", "image.layer4",
            Renamed(stimuli), units=range(80), visualize={"steps": 2}, workers=1, progress=False,
        ).path  # fmt: skip


@pytest.fixture
def opened(site, watch):
    """Open a page of the site in a browser that reaches nothing else."""

    featured = min(int(path.stem.split("-")[0]) for path in site.glob("0/vis/*-1.webp"))

    def open_page(name: str, **settings):
        name = name.replace("FEATURED", str(featured))
        watched = watch(f"{site.as_uri()}/", offline=True, **settings)
        watched.page.goto(f"{site.as_uri()}/{name}")
        return watched

    return open_page


def look(page: Page, name: str) -> None:
    folder = os.environ.get("LENS_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"microscope-{name}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_every_kind_of_page_is_accessible_and_quiet(opened, name, scheme):
    watched = opened(name, color_scheme=scheme)
    page = watched.page
    expect(page.locator("h1")).to_be_visible()
    page.wait_for_load_state("load")
    if "compare" in name:
        expect(page.locator("#pair iframe")).to_have_count(2)
    # Else axe itself asks for the style sheets, which the page's policy forbids.
    found = Axe().run(page, options={"preload": False})
    assert found.violations_count == 0, found.generate_report()
    wide = page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
    assert wide <= 0
    look(page, f"{name.split('.')[0].replace('/', '-')}-{scheme}")
    watched.clean()


@pytest.mark.parametrize("name", PAGES)
def test_a_small_window_needs_no_sideways_scrolling(opened, name):
    page = opened(name, viewport={"width": 390, "height": 800}).page
    page.wait_for_load_state("load")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390


def test_search_finds_a_concept_a_word_and_a_unit(opened, site):
    watched = opened("0/unit/3.html")
    page = watched.page
    page.keyboard.press("/")
    page.keyboard.type("pizza")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Search")
    results = page.locator("#results")
    expect(results.locator("h2").filter(has_text="Concept pizza")).to_be_visible()
    expect(results.locator("h2").filter(has_text="Word pizza")).to_be_visible()
    expect(results.locator("section").last.locator("em").first).to_have_text(
        re.compile(r"no\. \d+")
    )
    expect(results.locator("em").first).to_have_text(re.compile(r"\d\.\d{3}"))
    assert page.url.endswith("search.html#q=pizza")
    page.locator(".find input").fill("layer4 17")
    expect(results.locator("h2")).to_have_text("Units")
    results.locator("a.unit").click()
    expect(page.locator("h1")).to_have_text("Unit 17")
    page.locator(".find input").fill("onerror")
    page.keyboard.press("Enter")
    expect(results.locator("h2").first).to_have_text(f"Concept {HOSTILE}")
    expect(page.locator("img[src=x]")).to_have_count(0)
    watched.clean()


def test_a_link_opens_the_same_view(opened):
    watched = opened("0/site.html#sort=unit&filter=dog")
    page = watched.page
    cards = page.locator("#grid li:visible")
    concepts = page.locator("#grid .unit span")
    expect(page.locator("[name=filter]")).to_have_value("dog")
    count = cards.count()
    assert 0 < count < 80
    # The text, whether or not a card that is out of sight has been laid out.
    assert set(concepts.all_text_contents()) == {"dog"}
    numbers = [int(text) for text in page.locator("#grid .unit b").all_text_contents()]
    assert numbers == sorted(numbers)
    page.locator("[name=table]").check()
    expect(page.locator("#table tbody tr")).to_have_count(count)
    head = page.locator("#table [data-key=score]")
    head.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#table th[aria-sort=descending]")).to_have_text("score")
    expect(head).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#table th[aria-sort=ascending]")).to_have_text("score")
    rows = page.locator("#table tbody").inner_text()

    again = opened(page.url.split("/site/")[1])
    expect(again.page.locator("#table tbody tr")).to_have_count(count)
    assert again.page.locator("#table tbody").inner_text() == rows
    expect(again.page.locator("[name=filter]")).to_have_value("dog")
    watched.clean()
    again.clean()


def test_a_link_opens_a_part_of_a_unit(opened):
    watched = opened("0/unit/17.html#words")
    page = watched.page
    expect(page.locator(".parts [aria-current]")).to_have_text("Words it pulls towards")
    expect(page.locator("#words h2")).to_be_in_viewport()
    page.keyboard.press("ArrowRight")
    expect(page.locator("h1")).to_have_text("Unit 18")
    assert page.url.endswith("18.html#words")
    watched.clean()


def test_a_featured_unit_shows_facets_and_how_good_they_are(opened):
    page = opened("0/unit/FEATURED.html").page
    expect(page.locator("#visualizations figure")).to_have_count(5)
    for image in page.locator("#visualizations img").all():
        image.scroll_into_view_if_needed()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    names = page.locator("#visualizations figcaption b").all_inner_texts()
    assert names == ["other noise", "picture", "drawing", "word"]
    measured = page.locator("#visualizations dt").all_inner_texts()
    assert measured == ["percentile", "ratio", "selectivity", "agreement", "diversity"]


def test_two_units_side_by_side(opened):
    watched = opened("0/unit/17.html")
    page = watched.page
    page.locator(".walk").get_by_text("compare").click()
    expect(page.locator("#problem")).to_have_text("Choose the second unit.")
    page.locator("[name=unit]").nth(1).fill("3")
    page.keyboard.press("Enter")
    expect(page.locator("#facts thead")).to_contain_text("image.layer4 3")
    for i, title in enumerate(["Unit 17", "Unit 3"]):
        frame = page.frame_locator("#pair iframe").nth(i)
        expect(frame.locator("h1")).to_have_text(title)
        expect(frame.locator(".top")).to_be_hidden()
    assert page.url.endswith("compare.html#0/17,0/3")
    page.locator("#swap").click()
    expect(page.frame_locator("#pair iframe").first.locator("h1")).to_have_text("Unit 3")
    page.locator("[name=unit]").first.fill("9999")
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_contain_text("no page of unit")
    watched.clean()


def test_pages_read_without_scripts(opened):
    page = opened("0/site.html", java_script_enabled=False).page
    expect(page.locator("#grid li")).to_have_count(80)
    page.locator("#grid a").first.click()
    expect(page.locator("#examples li")).to_have_count(12)
    expect(page.locator("#responses table")).to_be_visible()
    painted = page.locator("figure img").first
    expect(painted).to_be_visible()
