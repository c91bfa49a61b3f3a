"""Audiences at ad platforms, kept equal to what a data platform holds, from Apache Airflow."""

from __future__ import annotations

__version__ = "0.1.0"

USER_AGENT = f"airflow-provider-audiences/{__version__}"
