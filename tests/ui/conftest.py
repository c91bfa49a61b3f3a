"""A browser, and a web server with audiences in every state."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

if os.environ.get("AUDIENCES_PAGE_PYTHON"):
    # Another Airflow serves the page, which knows less than the others expect.
    collect_ignore = ["test_page.py", "test_plugin.py", "test_tour.py"]
else:
    collect_ignore = ["test_older_airflow.py"]
    collect_ignore += [] if os.environ.get("AUDIENCES_BROWSER_TESTS") else ["test_tour.py"]

NO_CHROMIUM = (
    "No Chromium was found, and the page Audiences can't be tested without one: run `make .tools/chromium/.found`."
)

OpenPage: TypeAlias = Callable[..., Any]
"""Opens a page of a user: ``open_page("admin", "/audiences/", color_scheme="dark")``."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # For a module only: while it lives, its event loop runs in this thread, and no other test could run one.
    from playwright.sync_api import sync_playwright
    from support.browser.chromium import find_chromium

    program = find_chromium()
    if program is None:
        pytest.fail(NO_CHROMIUM, pytrace=False)
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not work for root, nor in most containers.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of the Airflow that serves the page."""
    if os.environ.get("AUDIENCES_PAGE_PYTHON"):
        from support.browser.site import new_database

        return new_database(tmp_path_factory.mktemp("new"))
    empty: Path = request.getfixturevalue("empty_airflow_database")
    return empty


@pytest.fixture(scope="module")
def site(browser: Any, database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A web server under a path, whose audiences real runs have written to."""
    from support.browser.site import serving

    ended = ("players", "buyers", "buyers@again", "users", "testers", "testers@again", "strangers", "newcomers")
    with serving(tmp_path_factory.mktemp("site"), database, *ended, "newcomers@again") as site:
        yield site


@pytest.fixture
def keep_picture() -> Callable[[Any, str], None]:
    """Keeps a picture of a page in the folder that BROWSER_SHOTS names, if it names one."""
    folder = os.environ.get("BROWSER_SHOTS")

    def keep(page: Any, name: str) -> None:
        if folder:
            page.wait_for_timeout(500)
            page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)

    return keep


@pytest.fixture
def open_page(browser: Any, site: Any) -> Iterator[OpenPage]:
    """Opens pages, and fails for whatever the browser complains of, or asks of another host."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def opened(user: str | None, path: str, *, on: Any = None, before: Any = None, **options: Any) -> Any:
        where = on or site
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        contexts.append(context)
        context.set_default_timeout(60_000)
        if user is not None:
            context.add_cookies([{"name": "_token", "value": where.token(user), "url": where.url}])
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a script ran: {dialog.message}"))
        page.on("console", lambda message: complaints.extend(_about_policy(message.text)))
        page.on("request", lambda request: complaints.extend(_elsewhere(request.url, where.url)))
        if before is not None:
            before(page)
        page.goto(where.url + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def _about_policy(text: str) -> list[str]:
    return [text] if "Content Security Policy" in text else []


def _elsewhere(url: str, root: str) -> list[str]:
    return [] if url.startswith((f"{root}/", "data:", "blob:")) else [url]
