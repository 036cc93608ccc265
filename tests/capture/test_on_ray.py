"""A real local cluster of two workers, of which one is killed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="ray is not installed: pip install 'lens-workbench[ray]'")


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
