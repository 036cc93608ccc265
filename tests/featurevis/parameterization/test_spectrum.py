import json

import numpy as np
import pytest
import torch
from PIL import Image

from lens.errors import BadImage, BadInput
from lens.featurevis.parameterization import Maco, spectrum
from lens.featurevis.parameterization.colour import correlate
from lens.featurevis.parameterization.spectrum import Spectrum


def falling(size: tuple[int, int], power: float = 1.0) -> np.ndarray:
    fy, fx = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]
    f = np.hypot(fy, fx)
    f[0, 0] = 1
    R = (size[0] * size[1]) ** 0.5 / f**power
    R[0, 0] = 0
    return np.stack([R, 2 * R, 3 * R])


@pytest.mark.parametrize("size", [(128, 128), (64, 96), (33, 40), (300, 200)])
def test_one_over_f_is_the_same_law_at_every_size(size):
    kept = Spectrum.of(falling((128, 128)))
    np.testing.assert_allclose(kept.at(size).numpy(), falling(size), rtol=2e-3)


def test_measured_magnitudes_come_back_at_their_own_size():
    planes = np.random.default_rng(0).normal(size=(40, 3, 128, 128))
    R = np.abs(np.fft.rfft2(planes)).mean(0)
    R[:, 0, 0] = 0
    mirrored = (R + np.roll(R[:, ::-1], 1, axis=1)) / 2
    np.testing.assert_allclose(Spectrum.of(R).at((128, 128)).numpy(), mirrored, rtol=2e-3)


def test_measuring_undoes_sigmoid_and_colour():
    planes = 0.5 * torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    pixels = torch.sigmoid(correlate(planes))
    torch.testing.assert_close(spectrum.logits(pixels).float(), planes, atol=1e-4, rtol=0)
    fade = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(32) / 32)
    fade /= np.sqrt((fade**2).mean())
    centred = (planes - planes.mean((2, 3), keepdim=True)).double().numpy()
    R = np.abs(np.fft.rfft2(centred * fade[:, None] * fade)).mean(0)
    got, want = spectrum.measure([pixels[:2], pixels[2:]]), Spectrum.of(R)
    torch.testing.assert_close(got.flat(), want.flat(), atol=2e-3, rtol=2e-3)


def test_cuttings_cover_the_image_at_every_scale():
    image = torch.rand(3, 64, 100)
    found = spectrum.cuttings(image, 32)
    assert len(found) == 3 * 6 + 1 * 3
    assert torch.equal(found[0], image[:, :32, :32]) and torch.equal(
        found[17], image[:, -32:, -32:]
    )
    assert len(spectrum.cuttings(torch.rand(3, 20, 100), 32)) == 0


def test_the_corner_share_of_a_known_image():
    noise = torch.rand(3, 256, 280, generator=torch.Generator().manual_seed(0))
    area = spectrum.corner_area((256, 280))
    assert area == 19 * 21 / (256 * 280)  # 9 and 10 pixels each way
    assert spectrum.corner_share(noise) == pytest.approx(area, rel=0.1)
    image = torch.zeros(3, 64, 64)
    image[:, 62:, 62:] = 1  # wraps around to the corner: 2 pixels each way
    image[:, :2, :2] = -1
    assert spectrum.corner_share(image) == pytest.approx(1)
    image[:, 3, 3], image[:, 60, 60] = 2, -2  # beyond
    assert spectrum.corner_share(image) == pytest.approx(8 / 16)
    assert all(0.004 < spectrum.corner_area((n, n)) < 0.006 for n in (96, 128, 224, 512))


def test_what_ships_is_small_and_says_where_it_comes_from():
    for name in spectrum.SHIPPED:
        path = spectrum._HERE / f"{name}.safetensors"
        assert path.stat().st_size < 40_000
        about = json.loads(path.with_suffix(".json").read_text())
        assert all(p["cuttings"] > 0 for p in about["pictures"])
        assert about["command"].endswith(f"--name {name}")
        assert name == "glyphs" or all(p["licence"] for p in about["pictures"])
        # Photographs fall with 1/f: what is kept hardly changes over two octaves.
        flat = spectrum.named(name).flat()[0]
        assert 0.3 < flat[2:6, 2:6].mean() / flat[8:24, 8:24].mean() < 3


def test_the_command_measures_a_folder(tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (150, 140, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    Image.fromarray(noise[:20]).save(tmp_path / "tiny.png")
    (tmp_path / "sources.json").write_text('{"noise.png": {"licence": "none"}}')
    out, sources = str(tmp_path), str(tmp_path / "sources.json")
    spectrum.main(["measure", out, "--name", "mine", "--out", out, "--sources", sources])
    about = json.loads((tmp_path / "mine.json").read_text())
    assert about["pictures"] == [{"name": "noise.png", "cuttings": 4, "licence": "none"}]
    kind = Maco(str(tmp_path / "mine.safetensors"))
    assert kind.recipe()["spectrum"]["float16"]  # the numbers go along, not the path
    assert about["command"].endswith("measure FOLDER --name mine")
    assert "mine.safetensors" in capsys.readouterr().out


def test_what_can_not_be_measured_is_said(tmp_path):
    with pytest.raises(BadInput, match="no image of 128 x 128 or larger"):
        spectrum.of_folder(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no")
    with pytest.raises(BadImage, match=r"'broken.png' can't be read"):
        spectrum.of_folder(tmp_path)
    (tmp_path / "x.safetensors").write_bytes(b"no")
    with pytest.raises(BadInput, match=r"'x.safetensors' is no spectrum"):
        Maco(str(tmp_path / "x.safetensors"))
    with pytest.raises(BadInput, match="no pictures"):
        spectrum.measure([])
