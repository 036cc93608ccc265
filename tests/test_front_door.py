import importlib
import subprocess
import sys

import pytest

import lens


def fresh(code: str) -> str:
    """Run code in a Python that has imported nothing yet."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_lens_imports_nothing_heavy():
    heavy = ("torch", "numpy", "pandas", "open_clip", "PIL", "anywidget")
    assert fresh(f"import sys, lens; print([m for m in {heavy} if m in sys.modules])") == "[]"


def test_rooms_that_are_verbs_can_be_called_and_do_not_import_torch():
    rooms = "callable(lens.capture), callable(lens.microscope)"
    code = f"import sys, lens; print({rooms}, 'torch' in sys.modules)"
    assert fresh(code) == "True True False"


def test_capture_is_the_verb_and_the_room_in_either_order(tiny_rn, pictures):
    from lens.capture.hooks import record

    assert callable(record)
    found = lens.capture(tiny_rn, pictures, "image.embedding", progress=False)
    assert found["image.embedding"].shape == (5, 24)
    room = importlib.import_module("lens.capture.run")
    assert room.capture.__name__ == "capture"
    assert callable(lens.capture)


def test_help_on_the_verb_shows_its_parameters():
    import inspect

    assert "batch_size" in inspect.signature(lens.capture).parameters


def test_everything_that_tab_offers_is_there():
    for name in (
        "load",
        "wrap",
        "capture",
        "data",
        "zoo",
        "visualize",
        "multimodal",
        "neuron",
        "microscope",
    ):
        assert name in dir(lens)
        assert getattr(lens, name) is not None


def test_a_wrong_name_gets_the_nearest():
    with pytest.raises(AttributeError, match="visualize"):
        lens.visualise  # noqa: B018
