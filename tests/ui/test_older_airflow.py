"""
The page on an Airflow of 3.1 or 3.2, which keeps no state of assets: what it can't know it says, and asks for nothing.

Run by ``AUDIENCES_PAGE_PYTHON=<the interpreter of that Airflow's environment> make test-browser``.
"""

import time
from typing import Any

from support.browser.expecting import expect, row

START_SECONDS = 120  # older versions begin each run slowly


def test_the_page_says_what_this_airflow_cannot_know(open_page: Any, site: Any, keep_picture: Any) -> None:
    replies: list[tuple[int, str]] = []

    def watch(page: Any) -> None:
        page.on("response", lambda reply: replies.append((reply.status, reply.url)))

    until = time.monotonic() + START_SECONDS
    while not site.ask("dags/newcomers/dagRuns/~/taskInstances", state="running")["total_entries"]:
        assert time.monotonic() < until, site.said("runs")[-3000:]
        time.sleep(0.5)
    version = site.ask("version")["version"]
    page = open_page("admin", "/audiences/", before=watch)
    expect(page.get_by_text(f"Airflow {version} keeps no state of assets")).to_be_visible()
    expect(row(page, "Lapsed buyers")).to_contain_text("Failed")
    expect(row(page, "Lapsed buyers")).to_contain_text("its log says why")
    expect(row(page, "Newcomers")).to_contain_text("A run works now")
    expect(row(page, "High value players")).to_contain_text("6,860 added, 6,684 removed")
    keep_picture(page, f"list-{version}")
    page.get_by_role("link", name="Lapsed buyers").click()
    expect(page.get_by_text("The history is made of asset events")).to_be_visible()
    expect(page.locator("figure h2")).to_have_text(["Size", "Added and removed, by day", "Drift"])
    expect(page.locator("table.runs tbody tr")).to_have_count(2)
    keep_picture(page, f"audience-{version}")
    assert [(status, url) for status, url in replies if status >= 400 or "state-store" in url] == []
    site.release.touch()
