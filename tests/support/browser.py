"""Debian's Chromium, steered by playwright; in CI it must be there, elsewhere the tests are skipped without it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.absent import absent

_IN_CI = os.environ.get("CI") == "true"
if _IN_CI:
    import playwright.sync_api as playwright
else:
    playwright = pytest.importorskip("playwright.sync_api")

MARKS = [
    pytest.mark.interop,
    # What the browser's driver leaves behind in its own loop is not ours to close.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@contextmanager
def chromium() -> Iterator[playwright.Browser]:
    """Start a browser, and end it."""
    program = shutil.which("chromium")
    if program is None:
        absent("Debian's chromium")
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()
