"""The attention explorer where people meet it: live in JupyterLab, and as a file."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from accessible import accessible
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

HOSTILE = "</script><img src=x onerror=alert(1)>"
PROMPT = f'{HOSTILE} "quoted" \u05e9\u05dc\u05d5\u05dd \U0001f600\nline ' + "x" * 10_000

# A small CLIP with random weights, whose attention has been made to look somewhere.
SETUP = f"""
import numpy as np, open_clip, torch, lens
from lens.data import glyphs

torch.manual_seed(0)
clip = open_clip.CLIP(
    embed_dim=32,
    vision_cfg=dict(layers=3, width=64, head_width=16, image_size=64, patch_size=8),
    text_cfg=dict(context_length=32, vocab_size=49408, width=32, heads=2, layers=2),
).eval()
for name, weight in clip.named_parameters():
    if "in_proj_weight" in name:
        weight.data *= 6
model = lens.wrap(
    clip, tokenizer=lambda texts: open_clip.tokenize(texts, context_length=32), name="tiny-vit"
)
stimuli = glyphs().stimuli(per_cell=2, size=64, concepts=glyphs().concepts[:2])
maps = lens.attention(model, [stimuli[0], stimuli[7]], ["a photo of a dog", {PROMPT!r}])
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """The explorer, saved with the scores of one layer and a second view beside it."""
    notebook: dict = {}
    exec(SETUP, notebook)
    maps, folder = notebook["maps"], tmp_path_factory.mktemp("saved")
    explorer = maps.explore(scores="image.blocks.2.attention")
    return explorer.save(folder / "maps.html", beside=[maps.explore(layer="image.blocks.0")])


def part(page: Page, name: str):
    return page.locator(".lens-attention").first.locator(name)


def ready(page: Page) -> None:
    expect(part(page, ".boards")).to_have_attribute("aria-busy", "false")
    expect(part(page, ".frame canvas")).to_be_visible()


def colours(page: Page, name: str) -> list[int]:
    """How many colours each canvas has."""
    return page.evaluate(
        """name => [...document.querySelector('.lens-attention').querySelectorAll(name)]
        .map((canvas) => {
            const pen = canvas.getContext('2d');
            const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
            return new Set(new Uint32Array(data.buffer)).size;
        })""",
        name,
    )


def look(page: Page, name: str) -> None:
    """Keep a screenshot where LENS_SCREENSHOTS names a folder: to be looked at, not compared."""
    folder = os.environ.get("LENS_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.locator(".lens-attention").first.screenshot(path=Path(folder) / f"{name}.png")


def test_live_in_jupyterlab_the_kernel_answers_for_a_layer(lab, watch):
    watched = watch(lab.address)
    page = watched.page
    lab.run(page, lab.notebook("attention.ipynb", [SETUP, "maps"]))
    ready(page)
    lab.finished(page)
    assert min(colours(page, ".heads canvas")) > 1
    first = part(page, ".caption").inner_text()
    part(page, ".heads tbody tr").first.locator("td").nth(2).click()  # was not sent yet
    expect(part(page, ".stage h2")).to_have_text("blocks.0, head 1")
    ready(page)
    assert part(page, ".caption").inner_text() != first
    part(page, ".ablate button").click()
    expect(part(page, ".worths")).to_have_text(re.compile(r"Without head 1: .*\("))
    part(page, "select").select_option("1")
    expect(part(page, ".prompt")).to_contain_text(HOSTILE)
    for theme in ("Light", "Dark"):
        lab.theme(page, f"JupyterLab {theme}")
        accessible(page, ".lens-attention")
        look(page, f"attention-lab-{theme.lower()}")
    expect(page.locator(".lens-attention img")).to_have_count(0)
    watched.clean()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [480, 1400])
def test_saved_and_opened_without_a_network(saved, watch, scheme, width):
    own = saved.as_uri()
    watched = watch(
        own, color_scheme=scheme, viewport={"width": width, "height": 1000}, offline=True
    )
    page = watched.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(own)
    ready(page)
    page.wait_for_function(
        "document.querySelector('.blend') && !document.querySelector('.blend').hidden"
    )
    assert min(colours(page, ".frame canvas")) > 50
    assert min(colours(page, ".heads canvas")) > 1
    accessible(page, ".lens-attention")
    look(page, f"attention-{scheme}-{width}")
    part(page, "[data-tower=text]").click()
    expect(part(page, ".words .chip")).to_have_count(7)
    assert part(page, ".words").evaluate("board => board.childNodes.length") == 1
    accessible(page, ".lens-attention")
    look(page, f"attention-text-{scheme}-{width}")
    wide = page.evaluate("document.scrollingElement.scrollWidth")
    assert wide <= width, f"the page is {wide} pixels wide"
    assert asked == [own]
    watched.clean()


def test_hover_shows_another_patch_and_a_click_keeps_it(saved, watch):
    watched = watch("file:")
    page = watched.page
    page.goto(saved.as_uri())
    ready(page)
    caption = part(page, ".caption")
    expect(caption).to_have_text(re.compile("class looks most at"))
    part(page, ".patch").nth(9).hover()
    expect(caption).to_have_text(re.compile("row 2, column 2 looks most at"))
    part(page, "h1").hover()
    expect(caption).to_have_text(re.compile("class looks most at"))
    part(page, ".patch").nth(9).click()
    part(page, "h1").hover()
    expect(caption).to_have_text(re.compile("row 2, column 2 looks most at"))
    part(page, "[data-way=to]").click()
    expect(caption).to_have_text(re.compile("row 2, column 2 is most looked at by"))
    part(page, "summary").click()
    expect(part(page, ".numbers tbody tr")).to_have_count(12)
    watched.clean()


def test_the_numbers_are_the_attention_of_the_model(saved, watch):
    notebook: dict = {}
    exec(SETUP, notebook)
    pattern = notebook["maps"]["image.blocks.2.attention"].pattern[0].mean(0)
    watched = watch("file:")
    page = watched.page
    page.goto(saved.as_uri())
    ready(page)
    part(page, ".patch").nth(9).click()
    part(page, "summary").click()
    cells = part(page, ".numbers tbody tr").first.locator("td")
    assert float(cells.nth(2).inner_text()) == pytest.approx(pattern[10].max(), rel=0.02)
    watched.clean()


def test_the_keyboard_alone_is_enough(saved, watch):
    watched = watch("file:")
    page = watched.page
    page.goto(saved.as_uri())
    ready(page)
    title, caption = part(page, ".stage h2"), part(page, ".caption")

    def tab_to(selector: str) -> None:
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("name => document.activeElement.matches(name)", selector):
                shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert shown != "none", f"{selector} does not show its focus"
                return
        pytest.fail(f"Tab does not lead to {selector}.")

    tab_to(".heads td")
    expect(title).to_have_text("blocks.2, mean of 4 heads")
    page.keyboard.press("ArrowRight")
    expect(title).to_have_text("blocks.2, head 0")
    page.keyboard.press("ArrowUp")
    expect(title).to_have_text("blocks.1, head 0")
    page.keyboard.press("End")
    expect(title).to_have_text("blocks.1, head 3")
    tab_to(".blend input")
    page.keyboard.press("Home")
    tab_to(".board [data-token]")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(caption).to_have_text(re.compile("row 2, column 2 looks"))
    expect(part(page, ".spoken[role=status]")).to_have_text(re.compile("row 2, column 2 looks"))
    page.keyboard.press("Enter")
    tab_to("summary")
    expect(caption).to_have_text(re.compile("row 2, column 2 looks"))
    page.keyboard.press("Enter")
    expect(part(page, ".numbers tbody tr")).to_have_count(12)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Escape")
    expect(part(page, ".patch.pinned")).to_have_count(0)
    watched.clean()


def test_views_of_a_page_tell_each_other_what_was_chosen(saved, watch):
    watched = watch("file:")
    page = watched.page
    page.goto(saved.as_uri())
    ready(page)
    other = page.locator(".lens-attention").last
    expect(other.locator(".stage h2")).to_have_text(re.compile("blocks.0"))
    part(page, ".patch").nth(9).click()
    expect(other.locator(".caption")).to_have_text(re.compile("row 2, column 2 looks"))
    expect(other.locator(".stage h2")).to_have_text(re.compile("blocks.0"))  # its own layer
    part(page, "select").select_option("1")
    expect(other.locator("select")).to_have_value("1")
    watched.clean()


def test_texts_from_data_are_text(saved, watch):
    watched = watch("file:")
    page = watched.page
    page.goto(saved.as_uri())
    ready(page)
    part(page, "select").select_option("1")
    expect(part(page, ".prompt")).to_contain_text(HOSTILE)
    part(page, "[data-tower=text]").click()
    expect(part(page, ".words .chip").first).to_be_visible()
    expect(page.locator("img")).to_have_count(0)
    watched.clean()
