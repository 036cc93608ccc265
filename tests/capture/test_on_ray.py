"""A real local cluster of two workers, of which one is killed, hangs, or dies again and again."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import lens
from lens.errors import WorkerLost

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'lens-workbench[ray]'")


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers to kill in /proc")
def test_a_killed_worker_changes_no_bit():
    kill = Path(__file__).parents[2] / "benchmarks" / "kill.py"
    run = subprocess.run(
        [sys.executable, str(kill), "--engine", "ray", "--rounds", "1", "--images", "640"],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    found = re.search(r"1 of 1 stores equal bit for bit, (\d+) workers killed", run.stdout)
    assert found, run.stdout
    assert int(found[1]) >= 1


@pytest.fixture(scope="module")
def cluster():
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")  # of a busy machine
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def little(monkeypatch):
    """A model of one layer, whose workers are often looked after."""
    monkeypatch.setattr("lens.capture.on_ray.LOOK", 0.5)
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    return lens.wrap(layers.eval(), name="little", example=torch.zeros(1, 3, 8, 8))


def data_set(trouble, row, marks):
    """Noise, whose ``row`` gets whoever reads it in a worker into trouble."""

    # Defined here, so that it travels by value: workers can't import a test.
    class Noise(torch.utils.data.Dataset):
        key = "noise"

        def __len__(self):
            return 24

        def __getitem__(self, number):
            in_worker = os.getpid() != driver
            if number == row and in_worker:
                trouble(marks)
            return np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)

    driver = os.getpid()
    return Noise()


def hang_once(marks):
    mark = marks / "hung"
    if not mark.exists():
        mark.write_text("")
        time.sleep(3600)


def die(marks):
    (marks / f"died {os.getpid()}").write_text("")
    os._exit(1)


def captured(model, images, store, engine):
    return lens.capture(
        model, images, "0", store=store, reduce="mean", batch_size=4, block_rows=8,
        engine=engine, workers=1, progress=False,
    )  # fmt: skip


def test_the_blocks_of_a_worker_that_hangs_are_made_again(cluster, little, tmp_path, monkeypatch):
    monkeypatch.setattr("lens.capture.on_ray.PATIENCE", 10.0)
    images = data_set(hang_once, 10, tmp_path)
    made = captured(little, images, tmp_path / "ray", "ray")
    assert (tmp_path / "hung").exists()
    whole = captured(little, images, tmp_path / "local", "local")
    assert made.finished
    np.testing.assert_array_equal(made.values_of("0"), whole.values_of("0"))


def test_workers_that_die_again_and_again_end_the_run_in_a_sentence(
    cluster, little, tmp_path, monkeypatch
):
    monkeypatch.setattr("lens.capture.on_ray.DEATHS", 1)
    images = data_set(die, 20, tmp_path)
    with pytest.raises(WorkerLost, match=r"2 workers died one after the other.*goes on where"):
        captured(little, images, tmp_path / "x", "ray")
    assert len(list(tmp_path.glob("died *"))) >= 2
    healthy = data_set(lambda marks: None, 20, tmp_path)
    gone_on = captured(little, healthy, tmp_path / "x", "local")  # from what the workers made
    assert gone_on.finished
    whole = captured(little, healthy, tmp_path / "local", "local")
    np.testing.assert_array_equal(gone_on.values_of("0"), whole.values_of("0"))


def test_a_dead_worker_leaves_print_alone():
    """Numba compiles with no other `print` than Python's: a map can be made after a bad day."""
    code = """
import types
from ray.experimental import tqdm_ray
from lens.capture import on_ray
tqdm_ray.instance()  # what Ray does when it reports a dead worker
assert isinstance(print, types.BuiltinFunctionType), print
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
