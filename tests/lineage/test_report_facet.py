"""The JSON schema of the facet that tells how a task has ended."""

import json
from dataclasses import fields
from pathlib import Path

import airflow_provider_audiences
from airflow_provider_audiences.common.counts import Counts

SCHEMA = Path(airflow_provider_audiences.__file__).with_name("lineage") / "report_facet.json"


def test_it_knows_all_counts() -> None:
    properties = json.loads(SCHEMA.read_text())["properties"]
    assert list(properties["counts"]["properties"]) == [field.name for field in fields(Counts)]
