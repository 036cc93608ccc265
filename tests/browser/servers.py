"""Start a notebook server with clean settings, and end it."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

KERNEL = "lens-tests"
# How long anything may take, in seconds; a machine that does other things needs more.
PATIENCE = float(os.environ.get("LENS_PATIENCE", "60"))


@contextmanager
def served(command: list[str], settings: dict[str, str], address: str, log: Path) -> Iterator[None]:
    """Run a server while the block is active; it is there once `address` answers."""
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=settings, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait(address, server, log)
            yield
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def environment(home: Path) -> dict[str, str]:
    """Settings, kernels and runtime files of a server's own, below one folder."""
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    kernels = [str(home / "kernels" / "share" / "jupyter"), os.environ.get("JUPYTER_PATH", "")]
    return {
        **os.environ,
        **{name: str(home / folder) for name, folder in own.items()},
        "JUPYTER_PATH": os.pathsep.join(filter(None, kernels)),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }


def free_port() -> int:
    """Find a port that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except urllib.error.HTTPError:
            return  # it answers, if not with a page
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.3)
    pytest.fail(f"The server did not start:\n{log.read_text(errors='replace')[-3000:]}")
