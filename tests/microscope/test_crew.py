"""Several processes, and a real cluster of two workers: the same bytes, whoever is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

import lens
from lens.errors import BadInput, NotWritten, WorkerLost
from lens.microscope import crew
from lens.microscope.drawing import draw
from lens.microscope.folder import Folder
from lens.microscope.parts import Drawing, Job
from lens.microscope.worker import Pulse

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="finds processes by /proc")


@pytest.fixture
def one_thread():
    """What a worker has; in float32 the number of threads may decide last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def workers_of(pid):
    """The drawing processes that a process started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
            parent = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        if parent == pid and b"lens.microscope.worker" in words:
            found.append(int(place.name))
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def job(tiny_rn):
    drawing = Drawing(0, "", {"steps": 2}, list(range(12)))
    return Job(0, tiny_rn.site("image.layer4"), [drawing], 2)


def drawn(job, workers):
    parts = [part for drawing in job.drawings for part in job.parts(drawing)]
    return {part.start: made.files for part, made in crew.drawn_by(job, parts, workers, "local")}


def test_two_processes_of_which_one_is_killed_give_the_bytes_of_one(
    tiny_rn, stimuli, quick, bits, tmp_path, one_thread, monkeypatch
):
    settings = {**quick, "visualize": {"steps": 20}, "units": range(12)}
    one = lens.microscope(tiny_rn, tmp_path / "a", "image.layer4", stimuli, **settings)
    keep, killed = Folder.keep, []

    def keeping(self, name, **arrays):
        keep(self, name, **arrays)
        if name.startswith("0-0-") and not killed:  # the first part is there: both are at others
            killed.append(workers_of(os.getpid())[0])
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(Folder, "keep", keeping)
    two = lens.microscope(
        tiny_rn, tmp_path / "b", "image.layer4", stimuli, **{**settings, "workers": 2}
    )
    assert len(killed) == 1
    assert bits(one.path) == bits(two.path)
    assert workers_of(os.getpid()) == []


def test_the_part_of_a_worker_that_hangs_is_drawn_again(tiny_rn, tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "PATIENCE", 6.0)
    mark = tmp_path / "hung"

    def sleeping(units):  # defined here, so that it travels by value
        if not mark.exists():
            mark.write_text("")
            time.sleep(3600)
        return lens.visualize(units, steps=1, progress=False)

    drawing = Drawing(0, "", sleeping, [1])
    found = drawn(Job(0, tiny_rn.site("image.layer4"), [drawing], 1), 2)
    assert mark.exists()
    assert len(found[0]) == 1
    assert workers_of(os.getpid()) == []


def test_an_error_while_writing_leaves_no_process_behind(tiny_rn, tmp_path, monkeypatch):
    def full(self, name, data, *, durable=False):
        raise NotWritten("the disk is full")

    monkeypatch.setattr(Folder, "write", full)
    drawing = Drawing(0, "", {"steps": 1}, [1])
    job = Job(0, tiny_rn.site("image.layer4"), [drawing], 1)
    with pytest.raises(NotWritten) as held:
        draw(Folder(tmp_path), job, 2, "local", lambda count: None)
    assert workers_of(os.getpid()) == []
    assert held.traceback  # what still refers to the loop


def test_processes_that_die_again_and_again_end_the_build_in_a_sentence(tiny_rn, monkeypatch):
    monkeypatch.setattr(crew, "DEATHS", 1)
    drawing = Drawing(0, "", {"steps": 1}, [1, 2])
    job = Job(0, tiny_rn.site("image.layer4"), [drawing], 1)
    monkeypatch.setattr(crew.sys, "executable", "/bin/false")
    with pytest.raises(WorkerLost, match=r"2 processes died one after the other.*goes on where"):
        drawn(job, 2)


def test_an_error_of_a_worker_is_the_users(tiny_rn):
    drawing = Drawing(0, "", {"steps": 0}, [1])
    with pytest.raises(BadInput, match="steps"):
        drawn(Job(0, tiny_rn.site("image.layer4"), [drawing], 1), 2)
    assert workers_of(os.getpid()) == []


def test_what_cannot_be_sent_is_said(tiny_rn):
    drawing = Drawing(0, "", {"steps": 1, "on_step": threading.Lock()}, [1])
    with pytest.raises(BadInput, match="workers=1 draws in this one"):
        drawn(Job(0, tiny_rn.site("image.layer4"), [drawing], 1), 2)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_the_build_leaves_no_process_behind(tmp_path, ending):
    build = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import conftest
from open_clip.model import CLIP
from lens.microscope import crew
from lens.microscope.drawing import draw
from lens.microscope.folder import Folder
from lens.microscope.parts import Drawing, Job
model = conftest.opened(conftest.built(CLIP, 24, conftest.RN, conftest.TEXT), "tiny-rn")
job = Job(0, model.site("image.layer4"), [Drawing(0, "", {{"steps": 4000}}, [0, 1, 2, 3])], 1)
parts = list(job.parts(job.drawings[0]))
for _ in crew.drawn_by(job, parts, 2, "local"):
    pass
"""
    script = tmp_path / "build.py"  # without a guard, as people write them
    script.write_text(build)
    parent = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True)
    children: list[int] = []
    end = time.monotonic() + 60
    while len(children) < 2 and time.monotonic() < end:
        children = workers_of(parent.pid)
        time.sleep(0.05)
    assert len(children) == 2
    time.sleep(4 if ending == signal.SIGINT else 0.5)  # they draw, or are just starting
    assert all(map(alive, children))
    parent.send_signal(ending)
    told = parent.communicate(timeout=30)[1]
    assert parent.returncode != 0
    if ending == signal.SIGINT:
        assert told.rstrip().endswith("KeyboardInterrupt")
    end = time.monotonic() + 10
    while any(map(alive, children)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, children))


def test_the_pulse_stands_still_while_a_thread_waits():
    pulse = Pulse()
    pulse.of_this_thread()
    first = pulse.beats()
    time.sleep(0.5)
    assert pulse.beats() - first <= 1
    end = time.thread_time() + 0.5
    while time.thread_time() < end:
        pass
    assert pulse.beats() - first >= 4


def test_by_default_few_parts_start_no_process(job, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(crew, "free_bytes", lambda device: 64e9)
    assert [crew._fitting(job, parts) for parts in (1, 7, 8, 15, 400)] == [1, 1, 2, 3, 8]
    monkeypatch.setattr(crew, "free_bytes", lambda device: 3.2e9)
    assert crew._fitting(job, 400) == 2


def test_a_cluster_gives_the_bytes_of_one_process(
    tiny_rn, stimuli, quick, bits, tmp_path, one_thread
):
    ray = pytest.importorskip("ray", reason="pip install 'lens-workbench[ray]'")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")  # of a busy machine
    one = lens.microscope(tiny_rn, tmp_path / "a", "image.layer4", stimuli, **quick)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        killed = []

        def kill():  # a worker in the middle of its first part
            while not killed:
                for place in Path("/proc").glob("[0-9]*/cmdline"):
                    try:
                        name = place.read_bytes()
                    except OSError:
                        continue
                    if name.startswith(b"ray::Artist.make"):
                        os.kill(int(place.parent.name), signal.SIGKILL)
                        killed.append(name)
                        return
                time.sleep(0.02)

        threading.Thread(target=kill, daemon=True).start()
        two = lens.microscope(
            tiny_rn, tmp_path / "b", "image.layer4", stimuli,
            **{**quick, "workers": 2, "engine": "ray"},
        )  # fmt: skip
        assert killed
    finally:
        ray.shutdown()
    assert bits(one.path) == bits(two.path)
