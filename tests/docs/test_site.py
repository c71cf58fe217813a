"""The documentation site: it builds without a warning, no link of it is broken, and it loads nothing else."""

import os
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest

from tests.browser import open_page

ROOT = Path(__file__).parents[2]
LOADED = {"script": "src", "img": "src", "link": "href", "source": "src", "iframe": "src"}

pytestmark = pytest.mark.slow


class _Links(HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.anchors.add(given["id"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in LOADED and LOADED[tag] in given and given.get("rel") != "canonical":
            self.loaded.append(given[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, _Links]:
    """Every page of the site, built anew with warnings as errors."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    settings = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=settings, timeout=900)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    read = {}
    for path in out.rglob("*.html"):
        read[path] = _Links()
        read[path].feed(path.read_text(encoding="utf-8"))
    return read


def test_no_link_within_the_site_is_broken(site: dict[Path, _Links]) -> None:
    broken = []
    for page, found in site.items():
        for link in found.links + found.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or page.name == "404.html":
                continue
            to = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            there = to.is_file() or (to / "index.html").is_file()
            anchored = not parts.fragment or to not in site or unquote(parts.fragment) in site[to].anchors
            if not (there and anchored):
                broken.append(f"{page.name}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(site: dict[Path, _Links]) -> None:
    asked = {link for found in site.values() for link in found.loaded if urlsplit(link).netloc}
    assert asked == set()


def test_in_a_browser_it_asks_nothing_of_the_network(site: dict[Path, _Links]) -> None:
    root = next(path for path in site if path.name == "concepts.html").parent
    handler = partial(_Quiet, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, open_page(height=1500) as page:
        Thread(target=server.serve_forever, daemon=True).start()
        for name, words in (
            ("concepts", "prequential loss"),
            ("environments", "Terminates"),
            ("first-steps", "olrl"),
        ):
            page.open(f"http://127.0.0.1:{server.server_port}/{name}.html")
            page.wait_for_text(words)
            page.wait("document.readyState === 'complete'")
            page.keep(f"site-{name}")
        server.shutdown()
        assert page.wrong == []


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_every_page_and_data_sheet_is_there(site: dict[Path, _Links]) -> None:
    names = {path.name for path in site}
    pages = {path.stem for path in (ROOT / "docs").rglob("*.md")}
    assert {"index.html" if page == "README" else f"{page}.html" for page in pages} <= names
    (sheets,) = (path for path in site if path.name == "environments.html")
    told = sheets.read_text(encoding="utf-8")
    for words in ("MultiDiscrete", "Reward", "Terminates", "price"):
        assert words in told
