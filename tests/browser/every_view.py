"""The lines of a notebook that shows every view, of one small model."""

from __future__ import annotations

SETUP = """
import warnings
warnings.simplefilter("ignore")
import open_clip, torch, lens
from lens import widgets
from lens.data import glyphs
from lens.featurevis import facets
torch.manual_seed(0)
clip = open_clip.CLIP(
    embed_dim=32,
    vision_cfg=dict(layers=3, width=64, head_width=16, image_size=64, patch_size=16),
    text_cfg=dict(context_length=16, vocab_size=49408, width=32, heads=2, layers=1),
).eval()
tokens = lambda texts: open_clip.tokenize(texts, context_length=16)
model = lens.wrap(clip, tokenizer=tokens, name="tiny-vit")
few = glyphs().stimuli(per_cell=4, size=64, concepts=glyphs().concepts[:5])
site = model.site("image.blocks.2")
table = lens.multimodal(model, site, few, progress=False)
best = [int(unit) for unit in table["unit"][:3]]
picture = model.preprocess(few[0])
"""

#: What makes each view, by the class that its page's outermost element has.
VIEWS = {
    "lens-units": "widgets.units(table, site, stimuli=few)",
    "lens-neuron": "lens.neuron(site.unit(best[0]), units=best, stimuli=few, visualize=False)",
    "lens-layers": "widgets.layers(model, tables=table)",
    "lens-facets": "facets(site.units(best[:2]), stimuli=few, steps=2, progress=False).view()",
    "lens-live": "widgets.live(site.units(best), steps=4)",
    "lens-map": "lens.project(few, 'pca', model=model, progress=False).view()",
    "lens-attention": "lens.attention(model, picture[None]).explore()",
    "lens-heatmap": "lens.attribute(model, picture, 'a cat', 'saliency').view()",
}
