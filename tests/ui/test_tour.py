"""The long tour of the page: all states, themes and widths, and 500 audiences: ``make test-browser``."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.browser.expecting import expect

MANY = 500
SLOWEST_PAUSE_MS = 500  # on a busy machine; some 50 elsewhere
OLD_AIRFLOW = {"version": "3.2.2", "git_version": None}


@pytest.fixture(scope="module")
def root_site(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A web server without a path, and without audiences."""
    from support.browser.site import serving

    with serving(tmp_path_factory.mktemp("root"), database, path="") as site:
        yield site


def add_many(site: Any) -> None:
    """Write assets and events, with the columns of Airflow's own tables, as 500 DAGs would have."""
    now = datetime.now(UTC)
    with sqlite3.connect(site.folder / "airflow.db", timeout=60) as database:
        for number in range(MANY):
            name = f"Audience {number:03d}"
            uri = f"applovin://applovin_default/audiences/Audience%20{number:03d}"
            report = {"audience_id": f"{number:032x}", "live": 1000 + number, "added": number, "removed": 3, "drift": 0}
            extra = {"audiences": 1, "platform": "applovin", "kind": "audience", "name": name, "operation": "sync",
                     "at": int(time.time()), "conn_id": "applovin_default", "report": report}  # fmt: skip
            times = (now.isoformat(" "), now.isoformat(" "))
            asset = database.execute(
                'INSERT INTO asset (name, uri, "group", extra, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)',
                (uri, uri, "asset", "{}", *times),
            ).lastrowid
            database.execute("INSERT INTO asset_active (name, uri) VALUES (?, ?)", (uri, uri))
            database.execute(
                "INSERT INTO asset_event (asset_id, extra, source_map_index, timestamp) VALUES (?, ?, -1, ?)",
                (asset, json.dumps(extra), times[0]),
            )


def barriers(page: Any) -> list[tuple[str, str]]:
    """Return what keeps people from the page, by axe-core's rules (WCAG 2.2, AA): the rule, and where it is broken."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [(rule["id"], node["html"]) for rule in found for node in rule["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_each_theme_and_width_can_be_read(
    open_page: Any, keep_picture: Callable[[Any, str], None], scheme: str, width: int
) -> None:
    page = open_page("admin", "/audiences/", color_scheme=scheme, viewport={"width": width, "height": 844})
    page.locator("table.list").wait_for()
    for name in ("list", "Lapsed buyers", "Newcomers"):
        if name != "list":
            page.get_by_role("link", name=name).click()
            page.locator("figure canvas").first.wait_for()
        assert barriers(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        keep_picture(page, f"{name}-{scheme}-{width}".replace(" ", "-").lower())
        if name != "list":
            page.get_by_role("link", name="All audiences").click()
            page.locator("table.list").wait_for()


def test_without_audiences_it_says_how_to_get_one(
    open_page: Any, root_site: Any, keep_picture: Callable[[Any, str], None]
) -> None:
    page = open_page("admin", "/audiences/", on=root_site)
    expect(page.get_by_role("heading", name="No audience yet")).to_be_visible()
    keep_picture(page, "empty")


def test_five_hundred_audiences_come_without_a_pause(open_page: Any, root_site: Any) -> None:
    add_many(root_site)
    watch = """
        window.pauses = [];
        new PerformanceObserver((list) => window.pauses.push(...list.getEntries().map(({ duration }) => duration)))
          .observe({ type: "longtask", buffered: true });
    """
    page = open_page("admin", "/audiences/", on=root_site, before=lambda page: page.add_init_script(watch))
    expect(page.locator("table.list tbody tr")).to_have_count(MANY, timeout=60_000)
    page.get_by_role("searchbox").fill("audience 499")
    expect(page.locator("table.list tbody tr")).to_have_count(1)
    page.get_by_role("searchbox").fill("")
    expect(page.locator("table.list tbody tr")).to_have_count(MANY)
    assert max(page.evaluate("window.pauses"), default=0) < SLOWEST_PAUSE_MS


def test_an_api_that_fails_is_told_and_asked_again(open_page: Any, keep_picture: Callable[[Any, str], None]) -> None:
    def fail(page: Any) -> None:
        page.route("**/api/v2/assets?*", lambda route: route.fulfill(status=502, body="<html>Bad gateway</html>"))

    page = open_page("admin", "/audiences/", before=fail)
    expect(page.get_by_role("heading", name="Airflow did not answer")).to_be_visible()
    expect(page.get_by_text("Airflow's API answered with status 502.")).to_be_visible()
    keep_picture(page, "error")
    page.unroute("**/api/v2/assets?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("table.list tbody tr")).to_have_count(7)


def test_a_part_that_may_not_be_read_is_named(open_page: Any) -> None:
    def refuse(page: Any) -> None:
        page.route("**/taskInstances/list", lambda route: route.fulfill(status=403, json={"detail": "Forbidden"}))

    page = open_page("admin", "/audiences/", before=refuse)
    expect(page.get_by_text("Your role may not read task instances.")).to_be_visible()
    expect(page.locator("table.list tbody tr")).to_have_count(7)


def test_an_airflow_without_states_says_what_it_cannot_know(
    open_page: Any, keep_picture: Callable[[Any, str], None]
) -> None:
    """The browser is told of another version, as the older web servers are not installed here."""
    asked: list[str] = []

    def be_old(page: Any) -> None:
        page.route("**/api/v2/version", lambda route: route.fulfill(json=OLD_AIRFLOW))
        page.on("request", lambda request: asked.append(request.url))

    page = open_page("admin", "/audiences/", before=be_old)
    expect(page.get_by_text("Airflow 3.2.2 keeps no state of assets")).to_be_visible()
    page.get_by_role("link", name="Lapsed buyers").click()
    expect(page.get_by_text("The history is made of asset events")).to_be_visible()
    expect(page.get_by_role("region", name="What needs you")).to_contain_text("its log says why")
    expect(page.locator("figure h2").first).to_have_text("Size")
    keep_picture(page, "before-3.3")
    assert [url for url in asked if "state-store" in url] == []
