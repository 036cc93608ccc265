"""Does Binder's 1 GB do? Installs what binder/ says into an empty environment, and runs a notebook.

    python benchmarks/binder.py                      # as Binder does, from the indexes named there
    python benchmarks/binder.py --without-index      # where torch's own index can't be reached
    python benchmarks/binder.py --torch 2.13.0+cpu   # another torch than constraints.txt names

A copy of the repository's files gets an environment of its own; ``requirements.txt`` is installed
and ``postBuild`` run in it. Then JupyterLab starts by ``start``, and a notebook runs in a kernel
beside it, both under one limit: a memory cgroup where this user may make one (the kernel then ends
what needs more), else a watcher that ends everything once the sum of PSS is over it. Peaks are sums
of PSS, pages shared by processes counted once. What runs the notebook stands for the browser and
is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
PORT, TOKEN = 8977, "binder-benchmark"
GROUPS = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))

RUNNER = """
import json, sys, time
import nbformat
from nbclient import NotebookClient

path, folder = sys.argv[1:]
book = nbformat.read(path, 4)
client = NotebookClient(book, timeout=900, kernel_name="python3",
                        resources={"metadata": {"path": folder}})
began, seen, code = time.perf_counter(), None, 0
with client.setup_kernel():
    for index, cell in enumerate(book.cells):
        if cell.cell_type != "code":
            continue
        client.execute_cell(cell, index)
        shown = any("image/png" in o.get("data", {}) or "text/html" in o.get("data", {})
                    for o in cell.outputs)
        if seen is None and shown:
            seen = time.perf_counter() - began
        code += 1
print(json.dumps({"cells": code, "first": seen, "whole": time.perf_counter() - began}))
"""


class Limit:
    """At most so many bytes for some processes and all that they start."""

    def __init__(self, size: int) -> None:
        self.size, self.group, self.peak, self.exceeded = size, _group(size), 0, False
        self.anonymous = 0
        self.how = (
            f"a memory cgroup ({self.group})"
            if self.group
            else "a watcher that ends everything over it, ten times a second (no cgroup to be had)"
        )
        self._roots: list[int] = []
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def start(self, command: Sequence[str], **options: object) -> subprocess.Popen:
        """Start a process inside."""
        inside = command
        if self.group is not None:
            told = f'echo $$ > "{self.group}/cgroup.procs"; exec "$@"'
            inside = ["bash", "-c", told, "inside", *command]
        process = subprocess.Popen(inside, start_new_session=True, **options)  # type: ignore
        self._roots.append(process.pid)
        return process

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            own = _tree(self._roots)
            sizes = [_sizes(pid) for pid in own]
            size = sum(pss for pss, _ in sizes)
            if size > self.peak:
                self.peak, self.anonymous = size, sum(anonymous for _, anonymous in sizes)
            if size > self.size and self.group is None:
                self.exceeded = True
                for pid in own:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    def ends(self) -> int:
        """How often the kernel ended a process that needed more."""
        if self.group is None:
            return int(self.exceeded)
        for name in ("memory.oom_control", "memory.events"):
            with suppress(OSError):
                told = dict(line.split() for line in (self.group / name).read_text().splitlines())
                return int(told.get("oom_kill", 0))
        return 0

    def close(self) -> None:
        """Stop watching; take the group away."""
        self._done.set()
        self._watcher.join()
        if self.group is not None:
            for _ in range(50):  # until its last process is gone
                with suppress(OSError):
                    self.group.rmdir()
                    return
                time.sleep(0.1)


def main() -> None:
    chosen = _arguments()
    work = Path(tempfile.mkdtemp(prefix="lens-binder-"))
    try:
        home = chosen.reuse or work
        if not (home / "repository").exists():
            home.mkdir(parents=True, exist_ok=True)
            _build(home, chosen)
        _measure(home, chosen)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _build(home: Path, chosen: argparse.Namespace) -> None:
    repository, env = home / "repository", home / "env"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, repository / name)
    if chosen.without_index or chosen.torch:
        _change(repository, chosen)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "venv", str(env)], check=True)
    pip = [str(env / "bin/python"), "-m", "pip", "install", "--quiet", "--no-cache-dir"]
    subprocess.run([*pip, "-r", "binder/requirements.txt"], cwd=repository, check=True)
    print(f"requirements.txt installed in {time.perf_counter() - began:.0f} s", flush=True)
    began = time.perf_counter()
    subprocess.run(["./binder/postBuild"], cwd=repository, check=True, env=_env(env))
    print(f"postBuild ran in {time.perf_counter() - began:.0f} s", flush=True)


def _change(repository: Path, chosen: argparse.Namespace) -> None:
    """Leave out an index that can't be reached; name another torch."""
    place = repository / "binder/requirements.txt"
    lines = place.read_text().splitlines()
    if chosen.without_index:
        lines = [line for line in lines if not line.startswith("--extra-index-url")]
    place.write_text("\n".join(lines) + "\n")
    if chosen.torch:
        pinned = repository / "constraints.txt"
        kept = [row for row in pinned.read_text().splitlines() if not row.startswith("torch")]
        wanted = [f"torch=={chosen.torch}"]
        wanted += [f"torchvision=={chosen.torchvision}"] if chosen.torchvision else []
        pinned.write_text("\n".join([*kept, *wanted]) + "\n")


def _measure(home: Path, chosen: argparse.Namespace) -> None:
    repository, env = home / "repository", home / "env"
    python = str(env / "bin/python")
    said = "import torch; print(torch.__version__, 'for CUDA' if torch.version.cuda else 'CPU')"
    build = subprocess.run([python, "-c", said], check=True, capture_output=True, text=True).stdout
    size = sum(f.stat().st_size for f in env.rglob("*") if f.is_file() and not f.is_symlink())
    limit = Limit(chosen.limit * 2**20)
    print(f"torch {build.strip()}; the environment has {size / 1e9:.1f} GB")
    print(f"limit: {chosen.limit} MiB, kept by {limit.how}", flush=True)
    server = None
    try:
        began = time.perf_counter()
        lab = ["jupyter", "lab", "--no-browser", f"--port={PORT}", "--allow-root"]
        lab += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={repository}"]
        with (home / "server.log").open("w") as log:
            server = limit.start(
                ["./binder/start", *lab], cwd=repository, env=_env(env), stdout=log, stderr=log
            )
        page = _fetched("static/lens/index.html", server)
        took = time.perf_counter() - began
        print(f"first view, a page made beforehand: {took:.1f} s after the start ({page:,} bytes)")
        alone = limit.peak
        print(f"JupyterLab alone: peak {alone / 2**20:.0f} MiB", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            told = _run(limit, repository, env, chosen.notebook, Path(folder))
        print(f"{chosen.notebook}, {told['cells']} cells: first picture or table after", end=" ")
        print(f"{told['first']:.1f} s of running, the last after {told['whole']:.1f} s")
        peak, own = limit.peak / 2**20, limit.anonymous / 2**20
        print(f"peak of JupyterLab and kernel: {peak:.0f} MiB of {chosen.limit}, {own:.0f} of them")
        print("not backed by a file;", _verdict(limit))
    finally:
        if server is not None:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=20)
        limit.close()


def _verdict(limit: Limit) -> str:
    if limit.ends():
        return f"DOES NOT FIT: {limit.ends()} processes ended for want of memory"
    if limit.peak > limit.size:  # pages of libraries are dropped, and read again when needed
        return "runs to its end within the limit, but only since pages of files can be dropped"
    return "fits"


def _run(limit: Limit, repository: Path, env: Path, name: str, folder: Path) -> dict:
    """Run a notebook whose kernel lives inside the limit; what drives it lives outside."""
    kernels = folder / "kernels/python3"
    kernels.mkdir(parents=True)
    python = str(env / "bin/python")
    starts = [str(repository / "binder/start"), python, "-m", "ipykernel_launcher", "-f",
              "{connection_file}"]  # fmt: skip
    if limit.group is not None:
        told = f'echo $$ > "{limit.group}/cgroup.procs"; exec "$@"'
        starts = ["bash", "-c", told, "inside", *starts]
    spec = {"argv": starts, "display_name": "Python 3", "language": "python"}
    (kernels / "kernel.json").write_text(json.dumps(spec))
    environment = {**_env(env), "JUPYTER_PATH": str(folder)}
    path = repository / "notebooks" / name
    runner = subprocess.Popen(
        [python, "-c", RUNNER, str(path), str(path.parent)],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    limit._roots.append(-runner.pid)  # the children of what drives it, not itself
    out, _ = runner.communicate()
    if runner.returncode:
        sys.exit(f"The notebook failed; ended for memory: {limit.ends()}; "
                 f"peak {limit.peak / 2**20:.0f} MiB.")  # fmt: skip
    return json.loads(out.splitlines()[-1])


def _fetched(path: str, server: subprocess.Popen) -> int:
    """Wait until the server gives a page; return its length."""
    for _ in range(600):
        if server.poll() is not None:
            sys.exit("JupyterLab ended before it answered; see server.log.")
        with suppress(OSError):
            url = f"http://127.0.0.1:{PORT}/{path}?token={TOKEN}"
            with urllib.request.urlopen(url, timeout=2) as answer:
                return len(answer.read())
        time.sleep(0.1)
    sys.exit("JupyterLab did not answer within a minute.")


def _env(env: Path) -> dict[str, str]:
    kept = ("HOME", "LANG", "TMPDIR")  # Binder's container knows nothing of this machine
    kept_too = {k: v for k, v in os.environ.items() if k in kept or k.startswith(("PIP_", "SSL_"))}
    return {**kept_too, "PATH": f"{env / 'bin'}:/usr/local/bin:/usr/bin:/bin", "NO_BROWSER": "1"}


def _group(size: int) -> Path | None:
    """Make a memory cgroup with a limit, of version 1 or 2; None where that is not permitted."""
    for root, name in zip(GROUPS, ("memory.limit_in_bytes", "memory.max"), strict=True):
        made = root / f"lens-binder-{os.getpid()}"
        try:
            made.mkdir()
        except OSError:
            continue
        try:
            (made / name).write_text(str(size))
            return made
        except OSError:
            made.rmdir()
    return None


def _tree(roots: Sequence[int]) -> list[int]:
    """All processes below some; of a negative number, without itself."""
    below: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parent = int(place.read_text().rsplit(")", 1)[1].split()[1])
            below.setdefault(parent, []).append(int(place.parent.name))
    found, waiting = [], [abs(root) for root in roots]
    while waiting:
        pid = waiting.pop()
        if -pid not in roots:
            found.append(pid)
        waiting += below.get(pid, [])
    return found


def _sizes(pid: int) -> tuple[int, int]:
    """Bytes in memory, pages shared by processes counted once; and those no file can give again."""
    with suppress(OSError, KeyError, ValueError):
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        told = {row.split(":")[0]: int(row.split()[1]) * 1024 for row in rows}
        return told["Pss"], told["Anonymous"]
    return 0, 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notebook", default="01_first_look.ipynb")
    parser.add_argument("--limit", type=int, default=1024, metavar="MIB")
    parser.add_argument("--without-index", action="store_true", help="leave out torch's own index")
    parser.add_argument("--torch", metavar="VERSION", help="in place of the one in constraints.txt")
    parser.add_argument("--torchvision", metavar="VERSION")
    parser.add_argument("--reuse", type=Path, metavar="FOLDER", help="keep and reuse what is built")
    return parser.parse_args()


if __name__ == "__main__":
    main()
