"""What tests of the page expect, and where they look for it."""

from typing import Any

_PATIENCE_MS = 30_000


def expect(thing: Any) -> Any:
    """
    Return Playwright's expectations of something on a page, which wait for half a minute.

    :param thing: the page, or a part of it.
    """
    from playwright import sync_api

    sync_api.expect.set_options(timeout=_PATIENCE_MS)
    return sync_api.expect(thing)


def row(page: Any, name: str) -> Any:
    """
    Return the row of an audience in the list.

    :param page: the list's page.
    :param name: name of the audience.
    """
    return page.locator("table.list tbody tr", has=page.get_by_role("link", name=name, exact=True))
