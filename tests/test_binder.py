"""What Binder opens: links for any clone, and a Microscope that is whole and up to date."""

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

BINDER = Path(__file__).parents[1] / "binder"


def script(name):
    """Load a script of the folder."""
    spec = importlib.util.spec_from_file_location(f"binder_{name}", BINDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


link = script("link")


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("https://github.com/ada/lens", "gh/ada/lens"),
        ("https://github.com/ada/lens.git", "gh/ada/lens"),
        ("https://ada:secret@github.com/ada/lens.git/", "gh/ada/lens"),
        ("git@github.com:ada/lens.js.git", "gh/ada/lens.js"),
        ("ssh://git@github.com/ada/lens.git", "gh/ada/lens"),
        ("https://gitlab.com/group/part/lens.git", "gl/group%2Fpart%2Flens"),
        ("git@gitlab.com:group/lens", "gl/group%2Flens"),
        ("https://gist.github.com/ada/9f2c1d.git", "gist/ada/9f2c1d"),
        ("https://ada:secret@code.org/ada/lens.git", "git/https%3A%2F%2Fcode.org%2Fada%2Flens"),
        ("git@git.uni.example:2001/lens.git", "git/https%3A%2F%2Fgit.uni.example%2F2001%2Flens"),
        ("http://git.uni.example:8080/a/b", "git/http%3A%2F%2Fgit.uni.example%3A8080%2Fa%2Fb"),
    ],
)  # fmt: skip
def test_links_are_binders_own(address, named):
    found = link.links(address)
    assert set(found) == set(link.PLACES)
    for name, url in found.items():
        assert url.startswith(f"https://mybinder.org/v2/{named}/HEAD?urlpath=")
        assert parse_qs(urlsplit(url).query) == {"urlpath": [link.PLACES[name]]}
        assert "secret" not in url


@pytest.mark.parametrize(
    "address", ["/srv/lens.git", "../lens", "file:///srv/lens", "C:\\lens", "x"]
)
def test_a_folder_is_no_public_address(address):
    with pytest.raises(ValueError, match="no public address"):
        link.links(address)


def test_the_command_reads_where_the_clone_came_from(tmp_path):
    (tmp_path / "binder").mkdir()
    copy = tmp_path / "binder" / "link.py"
    copy.write_bytes((BINDER / "link.py").read_bytes())

    def run(*words):
        return subprocess.run(
            [sys.executable, str(copy), *words], capture_output=True, text=True, check=False,
            env={"GIT_CEILING_DIRECTORIES": str(tmp_path.parent), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip

    without = run()
    assert without.returncode == 2 and "give an address" in without.stderr
    for command in (["init", "-q"], ["remote", "add", "origin", "git@github.com:ada/lens.git"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    told = run()
    assert told.returncode == 0 and told.stdout.count("/v2/gh/ada/lens/HEAD?") == 3
    assert "gl/a%2Fb" in run("https://gitlab.com/a/b").stdout
    local = run("/srv/lens.git")
    assert local.returncode == 2 and "Traceback" not in local.stderr


def test_no_placeholder_stands_for_an_address():
    for path in BINDER.iterdir():
        if path.suffix != ".zip" and path.is_file():
            assert not re.search(r"OWNER|REPOSITORY|mybinder\.org/v2/gh/\w", path.read_text())


def test_what_is_opened_is_what_is_made_beforehand():
    made = (BINDER / "postBuild").read_text()
    pages = (BINDER / "pages.py").read_text()
    assert "binder/pages.py pages/lens --serve" in made and '"microscope"' in pages
    assert 'href="microscope/index.html"' in pages
    for place in link.PLACES.values():
        kind, _, path = place.partition("/")
        assert kind in ("static", "lab")
        if kind == "lab":
            assert (BINDER.parent / path.removeprefix("tree/")).is_file()


def test_jupyter_shows_the_pages_as_pages_of_its_own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BINDER))
    pages = script("pages")
    monkeypatch.setattr(pages.sys, "prefix", str(tmp_path / "env"))
    folder = tmp_path / "pages" / "lens"
    pages.unpack(folder / "microscope")
    config = pages.serve(folder)
    assert config.is_relative_to(tmp_path / "env" / "etc" / "jupyter")
    port = _free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root",
         f"--port={port}", "--IdentityProvider.token=t"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path,
        # Where a server looks by itself, had it been installed there.
        env={**os.environ, "JUPYTER_CONFIG_PATH": str(config.parent)},
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}/static/lens/microscope/"
        index, headers = _fetched(f"{url}index.html", server)
        assert index == (folder / "microscope" / "index.html").read_bytes()
        assert "sandbox" not in headers.get("Content-Security-Policy", "")
        for name in ("assets/microscope.css", "search.js", "0/site.html"):
            assert _fetched(url + name, server)[0] == (folder / "microscope" / name).read_bytes()
    finally:
        server.terminate()
        server.wait(20)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _fetched(url, server):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert server.poll() is None
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read(), dict(answer.headers)
        except urllib.error.HTTPError:
            raise
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server did not answer")


# -- the Microscope that is kept in the repository ----------------------------------------------


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.found += [given[key] for key in ("href", "src") if given.get(key)]
        self.found += re.findall(r"url\(([^)]*)\)", given.get("style") or "")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shipped") / "site"
    microscope = script("microscope")
    return folder, microscope.unpack(folder), microscope


def bits(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_shipped_site_is_whole(shipped):
    folder, _, microscope = shipped
    assert microscope.ZIP.stat().st_size < 6e6
    manifest = json.loads((folder / "site.json").read_text())
    assert manifest["finished"] is True and manifest["model"] == "glyph-rn"
    units = manifest["sites"][0]["units"]
    assert len(units) == microscope.UNITS
    assert {int(page.stem) for page in folder.glob("0/unit/*.html")} == set(units)
    reached, checked = set(), 0
    for page in folder.rglob("*.html"):
        for address in Links(page.read_text(encoding="utf-8")).found:
            file = unquote(address).partition("#")[0]
            target = (page.parent / file).resolve() if file else page
            assert target.is_file(), (page, address)
            reached.add(target)
            checked += 1
    assert checked > 50 * len(units)
    unreached = set(folder.rglob("*.webp")) - reached
    assert not unreached, unreached


def test_the_shipped_pages_are_those_of_the_present_code(shipped, tmp_path):
    folder, kept, microscope = shipped
    before = bits(folder)
    plan = microscope.rewrite(folder, kept)
    after = bits(folder)
    told = "python binder/microscope.py --pages writes them again"
    assert set(after) == set(before), told
    assert [name for name in after if after[name] != before[name]] == [], told
    # Model, stimuli and settings are today's as well; else python binder/microscope.py is due.
    assert json.loads(before["site.json"])["made of"] == json.loads(json.dumps(plan.identity()))


def test_packing_gives_the_same_bytes(shipped, tmp_path):
    folder, kept, microscope = shipped
    one, two = tmp_path / "a.zip", tmp_path / "b.zip"
    for where in (one, two):
        microscope.pack(folder, kept, where)
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as new, zipfile.ZipFile(microscope.ZIP) as old:
        assert new.namelist() == old.namelist()
