"""
The plugin that brings the page Audiences into Airflow's menu Browse, from Airflow 3.1 on.

Every component of Airflow imports this module, schedulers and workers too, so it imports next to nothing.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_1_PLUS

from airflow_provider_audiences.ui.static_files import StaticPage

URL_PREFIX = "/audiences"
"""Where the API server serves the page's files, below its base URL."""

_APP = {"app": StaticPage(), "url_prefix": URL_PREFIX, "name": "Audiences"}
_VIEW = {
    "name": "Audiences",
    # Without a leading slash: Airflow's page resolves it against its own base, which may be a path of a proxy.
    "href": f"{URL_PREFIX.lstrip('/')}/",
    "destination": "nav",
    "category": "browse",
    "url_route": "audiences",
}


class AudiencesPlugin(AirflowPlugin):
    """Airflow's description of the page. Older versions than 3.1 have no frame for it, and get nothing."""

    name = "audiences"
    fastapi_apps: list[Any] = [_APP] if AIRFLOW_V_3_1_PLUS else []
    external_views: list[Any] = [_VIEW] if AIRFLOW_V_3_1_PLUS else []
