"""The JSON schema of the facet that tells how a task has ended."""

import json
from dataclasses import fields
from pathlib import Path

import airflow_provider_audiences
from airflow_provider_audiences.assets.uris import SCHEMES
from airflow_provider_audiences.common.counts import Counts
from airflow_provider_audiences.common.targets import TARGET_KINDS

SCHEMA = Path(airflow_provider_audiences.__file__).with_name("lineage") / "report_facet.json"


def test_it_knows_all_platforms_kinds_and_counts() -> None:
    properties = json.loads(SCHEMA.read_text())["properties"]
    assert sorted(properties["platform"]["enum"]) == list(SCHEMES)
    assert properties["kind"]["enum"] == [kind.name for kind in TARGET_KINDS]
    assert list(properties["counts"]["properties"]) == [field.name for field in fields(Counts)]
