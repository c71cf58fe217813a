"""A headless browser for tests that look at pages; they are skipped where there is none."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

PATIENCE_MS = 300_000  # a machine may be busy; a page that is right is there in a second or two
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


@contextmanager
def open_page(*, width: int = 1300, height: int = 1600) -> Iterator[Any]:
    """A blank page; the test is skipped, with the reason, without playwright or a Chromium."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no playwright: pip install 'olrl[browser]'", exc_type=ImportError
    )
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: install one of {', '.join(NAMES)}")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(PATIENCE_MS)
            yield page
        finally:
            browser.close()
