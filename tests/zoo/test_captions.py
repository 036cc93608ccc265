import torch

from lens.zoo.architectures import TEXT, tokenizer
from lens.zoo.captions import Captions

TAGS = {"dog": ("pet", "mammal"), "piano": ()}


def captions(n=200, **options):
    made = Captions(TAGS, torch.Generator().manual_seed(0))
    return [made.of("dog", **options) for _ in range(n)]


def test_captions_name_the_concept_and_sometimes_a_tag():
    said = captions()
    assert all("dog" in caption for caption in said)
    tagged = [c for c in said if "pet" in c or "mammal" in c]
    assert 0.1 < len(tagged) / len(said) < 0.4


def test_style_follows_the_rendering():
    assert any("drawing" in c for c in captions(rendering="drawing"))
    assert not any("drawing" in c for c in captions(rendering="word"))


def test_a_concept_without_tags_still_has_captions():
    made = Captions(TAGS, torch.Generator().manual_seed(0))
    assert all("piano" in made.of("piano") for _ in range(50))


def test_any_english_caption_goes_through_the_tokenizer():
    tokens = tokenizer()(["A dog!", "Zürich's 3 naïve cafés… 🍕", "", "very " * 100])
    assert tokens.shape == (4, TEXT["context_length"])
    assert int(tokens.max()) < TEXT["vocab_size"]
    # The end mark has the highest number, which is how CLIP finds it.
    assert (tokens.max(1).values == TEXT["vocab_size"] - 1).all()
