"""
Takes the pictures of the documentation: ``make pictures``.

The audiences are made up; their runs, the web server and the browser are real.
"""

from __future__ import annotations

import re
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright import sync_api

from support.browser.chromium import find_chromium
from support.browser.site import ADMIN, Site, new_database, serving

_RUNS = ("players", "buyers", "buyers@again", "users", "testers", "newcomers", "newcomers@again")
_NOT_SHOWN = "%3Cimg%"
"""An audience whose name only tests need."""

_HALF_WAY = re.compile(r"^[3-7]\d(\.|$)")
_WIDTH = 1240
_MAX_KILOBYTES = 150


def main(folder: Path) -> int:
    """
    Take all pictures.

    :param folder: where they go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pictures-") as home, sync_api.sync_playwright() as playwright:
        for name in ("new", "site"):
            Path(home, name).mkdir()
        database = new_database(Path(home, "new"))
        with serving(Path(home, "site"), database, *_RUNS, path="") as site:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
            _take_page(_opened(browser, site, height=690), site, folder)
            _take_form(_opened(browser, site, height=1000), site, folder)
            browser.close()
    large = [path.name for path in folder.glob("*.png") if path.stat().st_size > _MAX_KILOBYTES * 1000]
    if large:
        sys.stderr.write(f"larger than {_MAX_KILOBYTES} kB: {', '.join(large)}\n")
    return 1 if large else 0


def _opened(browser: Any, site: Site, *, height: int) -> Any:
    context = browser.new_context(viewport={"width": _WIDTH, "height": height}, color_scheme="light")
    context.set_default_timeout(60_000)
    context.add_cookies([{"name": "_token", "value": site.token(ADMIN), "url": site.url}])
    return context.new_page()


def _take_page(page: Any, site: Site, folder: Path) -> None:
    """Take the list and one audience, inside Airflow."""
    page.goto(f"{site.url}/plugin/audiences")
    frame = page.frame_locator("iframe")
    # A run that works has brought all DAGs to Airflow, that one included.
    frame.get_by_role("progressbar").wait_for()
    with sqlite3.connect(site.folder / "airflow.db", timeout=60) as tables:
        tables.execute("DELETE FROM asset_active WHERE uri LIKE ?", (f"%{_NOT_SHOWN}",))
    frame.get_by_role("button", name="Refresh").click()
    frame.get_by_role("button", name="All 6").wait_for()
    sync_api.expect(frame.get_by_role("progressbar")).to_have_attribute("value", _HALF_WAY, timeout=60_000)
    _take(page, folder / "page-list.png")
    page.set_viewport_size({"width": _WIDTH, "height": 990})
    frame.get_by_role("link", name="High value players").click()
    frame.locator("figure canvas").nth(3).wait_for()
    _take(page, folder / "page-audience.png")


def _take_form(page: Any, site: Site, folder: Path) -> None:
    """Take the form of a new connection, with what it proposes for each field."""
    page.goto(f"{site.url}/connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.get_by_role("combobox").click()
    page.keyboard.type("AppLovin")
    page.keyboard.press("Enter")
    form.get_by_text("Management Key", exact=True).wait_for()
    _take(form, folder / "connection.png")


def _take(thing: Any, path: Path) -> None:
    getattr(thing, "page", thing).wait_for_timeout(800)  # what moves comes to rest
    thing.screenshot(path=path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
