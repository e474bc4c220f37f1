"""A headless Chromium that reads local files and has no network, for tests of the pages that we write."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC_BROWSER = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root, and the page is ours
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",  # in containers /dev/shm is small
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
)


class BrowserMissing(Exception):
    """There is no Chromium, or no driver for it; the message says how to get them."""


@contextmanager
def open_browser(downloads: Path) -> Iterator[Chrome]:
    """One window with a profile of its own; what a page lets one download lies in `downloads`."""
    browser, driver = _programs()
    with tempfile.TemporaryDirectory(prefix="fragua-browser-", ignore_cleanup_errors=True) as profile:
        options = ChromeOptions()
        options.binary_location = browser
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        # Named, so that selenium does not look for one on the network.
        opened = Chrome(options=options, service=Service(driver, log_output=subprocess.DEVNULL, env=_environment()))
        try:
            opened.set_window_size(1280, 900)
            yield opened
        finally:
            opened.quit()


def console_problems(browser: Chrome) -> list[str]:
    """Errors and warnings since the last call; what the page's policy forbids is among them."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] != "INFO"]


def _programs() -> tuple[str, str]:
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    browser = found or (_MAC_BROWSER if Path(_MAC_BROWSER).exists() else None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        raise BrowserMissing(
            "no Chromium with its driver: run scripts/fetch_browser.sh (as root on Debian), or install them so that "
            "chromium and chromedriver are on PATH"
        )
    return browser, driver


def _environment() -> dict[str, Any]:
    # A proxy of the machine is none of the browser's business.
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
