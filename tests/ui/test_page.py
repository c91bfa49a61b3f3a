"""The page Audiences in a real browser, at a real web server under a path, of audiences that real runs wrote to."""

import re
from typing import Any

import pytest
from support.browser.expecting import expect, row

from airflow_provider_audiences.emulator.testing import AudiencesEmulator

OpenPage = Any
STOPPED = "The plan would remove 186,754 of 415,008 members (45.0%), and at most 30.0% is allowed"
EVIL = "<img src=x onerror=alert(1)>"


def test_the_list_begins_with_what_needs_a_person(open_page: OpenPage) -> None:
    page = open_page("admin", "/audiences/")
    names = page.locator("table.list .name")
    expect(names).to_have_text(
        [
            "Campaign testers",
            "Lapsed buyers",
            EVIL,
            "Newcomers",
            "Not yet run",
            "com.example.game",
            "High value players",
        ]
    )
    expect(row(page, "Campaign testers")).to_contain_text("Failed")
    expect(row(page, "Lapsed buyers")).to_contain_text(f"Stopped by a guard max_removed_ratio {STOPPED}")
    expect(row(page, EVIL)).to_contain_text("The platform counts 9,500 members more than were sent")
    expect(row(page, "com.example.game")).to_contain_text("Nothing to send")
    expect(row(page, "Not yet run")).to_contain_text("No sync yet")
    expect(row(page, "High value players")).to_contain_text("in 4 days")
    page.get_by_role("button", name="Needs you 3").click()
    expect(names).to_have_count(3)
    page.get_by_role("searchbox", name="Search audiences").fill("pai testers")
    expect(names).to_have_text(["Campaign testers"])


def test_an_audience_shows_its_history_by_one_click(open_page: OpenPage, site: Any) -> None:
    page = open_page("admin", "/audiences/")
    page.get_by_role("link", name="Lapsed buyers").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Lapsed buyers")
    expect(page.get_by_role("region", name="What needs you")).to_contain_text(STOPPED)
    plots = page.locator("figure h2")
    expect(plots).to_have_text(["Size", "Added and removed, by day", "Drift", "Coming expiry, by day"])
    expect(page.locator("figure canvas")).to_have_count(4)
    expect(page.locator("figure").first).to_contain_text("Fewest allowed (30% less)")
    page.locator("figure summary").first.click()
    expect(page.get_by_role("region", name="Figures of Size").locator("tbody tr")).to_have_count(61)  # with the next
    expect(page.locator(".tiles")).to_contain_text(re.compile(r"Next runin \d+ (hour|minute)s?|Next runtomorrow"))
    [stopped, done] = page.locator("table.runs tbody tr").all()
    expect(stopped).to_contain_text("Stopped by a guard")
    expect(done).to_contain_text("sync: 6,860 added, 6,684 removed6,8606,684415,008")
    [failed] = site.ask("dags/buyers/dagRuns", state="failed")["dag_runs"]
    href = stopped.get_by_role("link", name="Log").get_attribute("href")
    run_id = failed["dag_run_id"].replace(":", "%3A").replace("+", "%2B")
    assert href == f"{site.url}/dags/buyers/runs/{run_id}/tasks/sync"


def test_airflow_shows_the_page_in_its_menu_and_follows_its_links(open_page: OpenPage, site: Any) -> None:
    page = open_page("admin", "/", color_scheme="dark")
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="Audiences").click()
    frame = page.frame_locator("iframe")
    expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
    frame.get_by_role("link", name="Campaign testers").click()
    expect(frame.get_by_role("heading", level=1)).to_contain_text("Campaign testers")
    page.reload()
    expect(frame.get_by_role("heading", level=1)).to_contain_text("Campaign testers")
    frame.get_by_role("link", name="Last log").click()
    page.wait_for_url(re.compile(r"/dags/testers/runs/[^/]+/tasks/refresh"))


def test_a_run_that_works_shows_how_far_it_is(open_page: OpenPage, site: Any) -> None:
    page = open_page("admin", "/audiences/")
    expect(row(page, "Newcomers")).to_contain_text(re.compile(r"Running [\d,]+ of 1,200,000 members sent"))
    bar = row(page, "Newcomers").get_by_role("progressbar")
    expect(bar).not_to_have_attribute("value", bar.get_attribute("value") or "")
    site.release.touch()
    for _ in range(60):
        page.get_by_role("button", name="Refresh").click()
        page.wait_for_timeout(500)
        if "In order" in row(page, "Newcomers").inner_text():
            break
    expect(row(page, "Newcomers")).to_contain_text("In order")


@pytest.mark.parametrize(
    ("user", "heading", "action"),
    [("nobody", "You may not see audiences", "Try again"), (None, "You are not logged in", "Log in")],
    ids=["without permission", "without a login"],
)
def test_whoever_may_not_read_assets_sees_why(open_page: OpenPage, user: Any, heading: str, action: str) -> None:
    page = open_page(user, "/audiences/")
    expect(page.get_by_role("heading", name=heading)).to_be_visible()
    expect(page.get_by_text(action, exact=True)).to_be_visible()
    assert "buyers" not in page.content()


def test_the_keyboard_reaches_all_and_says_what_it_reaches(open_page: OpenPage) -> None:
    page = open_page("admin", "/audiences/")
    page.get_by_role("link", name="High value players").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    plot = page.get_by_role("group", name=re.compile("^Size"))
    expect(plot.locator("canvas")).to_be_visible()
    plot.focus()
    page.keyboard.press("Home")
    first = page.locator("#announcer").text_content()
    assert re.match(r"\w+ \d+, 2\d{3}, \d\d:\d\d: Members 3\d\d,\d{3}, min_members 300,000$", first or ""), first
    page.keyboard.press("ArrowRight")
    expect(page.locator("#announcer")).to_contain_text("Fewest allowed (30% less) 2")


def test_connections_have_a_form_that_explains_itself_and_a_test(
    open_page: OpenPage, site: Any, emulator: AudiencesEmulator
) -> None:
    stored = {"conn_type": "applovin", "host": emulator.url, "port": 443}
    site.tell("connections", connection_id="right", password=emulator.api_key, **stored)
    site.tell("connections", connection_id="wrong", password="reporting-key", **stored)
    page = open_page("admin", "/connections")
    for connection_id, said in (("right", "AppLovin accepted the Management Key"), ("wrong", "are of other products")):
        page.get_by_role("row", name=connection_id).get_by_role("button", name="Test Connection").press("Enter")
        expect(page.get_by_text(said)).to_be_visible()
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.get_by_role("combobox").click()
    page.keyboard.type("Alibaba PAI")
    page.keyboard.press("Enter")
    expect(form.get_by_text("API key, or AccessKey secret")).to_be_visible()
    expect(form.get_by_placeholder("443; on Airflow 3.3 the test button needs it")).to_be_visible()
    form.get_by_role("button", name="Extra Fields", exact=True).click()
    expect(form.get_by_text("How often a request is repeated after a transient failure. Default: 3.")).to_be_visible()
    expect(form.get_by_text("what fits the credentials")).to_be_visible()
    form.get_by_role("combobox").nth(1).click()
    expect(page.get_by_role("option", name="openapi")).to_be_visible()
