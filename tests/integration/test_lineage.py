"""Lineage of queries: what OpenLineage is told of a database that really is there."""

from typing import Any

from airflow_provider_audiences.operators.applovin_sync import AppLovinSyncAudienceOperator
from airflow_provider_audiences.sources import SqlSource


def test_the_statement_is_that_of_the_source_and_not_of_the_opt_outs(postgres: Any) -> None:
    postgres.cursor().execute("CREATE TABLE people (idfa uuid); CREATE TABLE gone (idfa uuid)")
    operator = AppLovinSyncAudienceOperator(
        task_id="t",
        audience_id="a",
        source=SqlSource("warehouse", "SELECT idfa FROM people"),
        suppress=SqlSource("warehouse", "SELECT idfa FROM gone"),
    )
    lineage = operator.get_openlineage_facets_on_start()
    assert lineage is not None
    assert [one.name.rpartition(".")[2] for one in lineage.inputs] == ["people", "gone"]
    assert lineage.job_facets["sql"].query == "SELECT idfa FROM people"
