"""The plugin: Airflow 3.1 and newer get the page, older versions get nothing, and the page is files only."""

import asyncio
import json
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_1_PLUS

from airflow_provider_audiences.common.targets import platforms, target_kinds
from airflow_provider_audiences.ui.plugin import AudiencesPlugin
from airflow_provider_audiences.ui.static_files import FOLDER, TABLE, StaticPage, targets_table

PAGE_FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file())
OURS = [path for path in PAGE_FILES if "vendor" not in path.parts]


def _get(path: str, method: str = "GET") -> Any:
    import httpx

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=StaticPage())
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
            return await client.request(method, path)

    return asyncio.run(ask())


def test_airflow_finds_it_by_its_entry_point() -> None:
    [point] = [point for point in entry_points(group="airflow.plugins") if point.value.startswith("airflow_provider_a")]
    assert point.load() is AudiencesPlugin


def test_only_versions_with_frames_get_a_page() -> None:
    apps, views = AudiencesPlugin.fastapi_apps, AudiencesPlugin.external_views
    if not AIRFLOW_V_3_1_PLUS:
        assert (apps, views) == ([], [])
        return
    [app], [view] = apps, [dict(view) for view in views]
    assert app["url_prefix"] == "/audiences"
    # Relative, so that it stays below Airflow's own path.
    assert view.pop("href") == "audiences/"
    assert view == {"name": "Audiences", "destination": "nav", "category": "browse", "url_route": "audiences"}


def test_it_costs_those_nothing_who_serve_no_pages() -> None:
    """Schedulers and workers import it too."""
    script = """
import json, sys
import airflow.plugins_manager, airflow.providers.common.compat.version_compat
before = set(sys.modules)
import airflow_provider_audiences.ui.plugin
print("ADDED", json.dumps(sorted(set(sys.modules) - before)))
"""
    said = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"},
        capture_output=True, text=True, check=True, timeout=120,
    ).stdout  # fmt: skip
    added = {name.partition(".")[0] for name in json.loads(said.rpartition("ADDED ")[2])}
    assert added & {"fastapi", "starlette", "uvicorn", "requests", "duckdb", "numpy"} == set()


@pytest.mark.skipif(not AIRFLOW_V_3_1_PLUS, reason="this Airflow has no page, and no web framework")
class TestFiles:
    def test_each_file_is_served_for_this_site_only(self) -> None:
        for path in PAGE_FILES:
            reply = _get(f"/{path.relative_to(FOLDER).as_posix()}")
            assert (reply.status_code, reply.content) == (200, path.read_bytes())
            assert "default-src 'none'; script-src 'self'" in reply.headers["content-security-policy"]
            assert "frame-ancestors 'self'" in reply.headers["content-security-policy"]
            assert reply.headers["x-content-type-options"] == "nosniff"
        assert _get("/").content == (FOLDER / "index.html").read_bytes()

    def test_the_table_of_targets_is_served_as_a_module(self) -> None:
        reply = _get(f"/{TABLE}")
        assert (reply.status_code, reply.text) == (200, targets_table())
        assert reply.headers["content-type"].startswith("text/javascript")
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert f'from "./{Path(TABLE).name}"' in (FOLDER / "js" / "targets.js").read_text("utf-8")

    @pytest.mark.parametrize("path", ["/%2e%2e/plugin.py", "/js/%2e%2e/%2e%2e/plugin.py", "/no-file", "/%2fetc/passwd"])
    def test_nothing_else_is_served(self, path: str) -> None:
        from starlette.exceptions import HTTPException

        with pytest.raises(HTTPException) as raised:
            _get(path)
        assert raised.value.status_code == 404

    def test_nothing_can_be_sent_to_it(self) -> None:
        from starlette.exceptions import HTTPException

        with pytest.raises(HTTPException) as raised:
            _get("/", method="POST")
        assert raised.value.status_code == 405


def test_texts_of_the_api_never_become_html() -> None:
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|eval\(|new Function"
    assert [path.name for path in OURS if re.search(ways, path.read_text("utf-8"))] == []


def test_nothing_is_fetched_from_elsewhere() -> None:
    elsewhere = re.compile(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[\w.-]+\.\w+")
    pages = [path for path in OURS if path.suffix in {".html", ".css", ".js"}]
    assert len(pages) > 10
    assert {path.name: found for path in pages if (found := elsewhere.findall(path.read_text("utf-8")))} == {}
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|style=", (FOLDER / "index.html").read_text("utf-8"))


def test_the_plots_library_has_its_version_and_license_beside_it() -> None:
    folder = FOLDER / "vendor" / "uplot"
    [version] = re.findall(r"\(v([\d.]+)\)", (folder / "uPlot.iife.min.js").read_text("utf-8")[:200])
    assert f"# uPlot {version}\n" in (folder / "README.md").read_text("utf-8")
    assert "The MIT License" in (folder / "LICENSE").read_text("utf-8")


def test_files_of_the_page_fit_a_screen_of_reading() -> None:
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in Path(FOLDER, "js").glob("*.js")}
    assert max(lengths.values()) <= 350, lengths


def test_the_table_of_the_page_is_that_of_the_package() -> None:
    tables = {name: json.loads(table) for name, table in re.findall(r"export const (\w+) = (.+);\n", targets_table())}
    assert tables == {
        "PLATFORMS": {platform.name: platform.title for platform in platforms()},
        "KINDS": {
            platform.name: {kind.name: kind.title for kind in target_kinds() if kind.platform == platform}
            for platform in platforms()
        },
        "FOLDERS": {
            "applovin": {"audiences": "audience", "suppression": "suppression_list"},
            "pai": {"groups": "group"},
        },
    }
