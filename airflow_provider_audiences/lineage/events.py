"""What OpenLineage's events say of a task: inputs, output with statistics, and the operator's report."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import attrs
from airflow.providers.common.compat.openlineage.facet import (
    InputDataset,
    OutputDataset,
    OutputStatisticsOutputDatasetFacet,
    RunFacet,
)
from airflow.providers.openlineage.extractors import OperatorLineage

from airflow_provider_audiences.assets.airflow_assets import convert_asset_to_openlineage
from airflow_provider_audiences.lineage.datasets import DatasetName, datasets_and_queries
from airflow_provider_audiences.lineage.queries import lineage_of_query

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset

    from airflow_provider_audiences.assets.events import WriteTarget
    from airflow_provider_audiences.assets.state import TryResult
    from airflow_provider_audiences.common.counts import Counts

log = logging.getLogger(__name__)

REPORT_FACET = "audiences_report"
"""Key of the run's facet with the report."""

SCHEMA_URL = "urn:airflow-provider-audiences:report-facet:1"
"""The facet's JSON schema, ``report_facet.json`` in this folder; it is an id, since the project has no address yet."""


@attrs.define(kw_only=True)
class AudiencesReportRunFacet(RunFacet):
    """
    How a task has ended, and its report; no member and no secret is in it, as none is in a report.

    :param platform: ``applovin`` or ``pai``.
    :param kind: ``audience``, ``suppression_list`` or ``group``.
    :param operation: what the task does, as in an asset's event.
    :param outcome: ``ok``, ``stopped`` by a guard, or ``failed``.
    :param guard: name of the guard that stopped the task; None if none did.
    :param counts: numbers of this try: those that are known of ``sent, removed, refused, requests, live, drift``.
    :param report: the operator's report; None if the task has not succeeded.
    """

    platform: str
    kind: str
    operation: str
    outcome: str
    guard: str | None
    counts: dict[str, int]
    report: dict[str, Any] | None

    @staticmethod
    def _get_schema() -> str:
        return SCHEMA_URL


def lineage_of(
    sources: Iterable[Any], *, output: Asset | None, target: WriteTarget, try_result: TryResult | None
) -> OperatorLineage[Any, Any]:
    """
    Return what an event says of a task.

    :param sources: what the task reads: values of its fields, masked or not, and names of datasets.
    :param output: what the task writes to, as an asset of ours; None if it writes nothing, or it is not known what.
    :param target: what the task writes to, for the report's facet.
    :param try_result: how the try has ended; None while it runs.
    """
    lineage: OperatorLineage[Any, Any] = OperatorLineage()
    for source in sources:
        read = _read(source)
        lineage.inputs += [one for one in read.inputs if one not in lineage.inputs]
        lineage.job_facets = {**read.job_facets, **lineage.job_facets}  # the source's statement, and not the opt-outs'
    if output is not None:
        dataset = convert_asset_to_openlineage(output, None)
        facets = {} if try_result is None else _statistics(try_result.counts)
        lineage.outputs.append(
            OutputDataset(namespace=dataset.namespace, name=dataset.name, outputFacets=facets),
        )
    if try_result is not None:
        lineage.run_facets[REPORT_FACET] = _report(target, try_result)
    return lineage


def _read(source: Any) -> OperatorLineage[Any, Any]:
    """Return what is known of a source. What can't be found out is left out: lineage never fails a task."""
    found: OperatorLineage[Any, Any] = OperatorLineage()
    try:
        for part in datasets_and_queries(source):
            if isinstance(part, DatasetName):
                found.inputs.append(InputDataset(namespace=part.namespace, name=part.name))
            elif (query := lineage_of_query(part)) is not None:
                found = found.merge(query)
    except Exception as error:  # noqa: BLE001 - an error's text may hold what a database was asked
        log.info("The source's lineage can't be told: %s", type(error).__name__)
    return found


def _statistics(counts: Counts) -> dict[str, Any]:
    if counts.sent is None and counts.removed is None:
        return {}
    rows = (counts.sent or 0) + (counts.removed or 0)
    return {"outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=rows)}


def _report(target: WriteTarget, try_result: TryResult) -> AudiencesReportRunFacet:
    outcome = try_result.outcome
    known: Mapping[str, Any] = asdict(try_result.counts)
    return AudiencesReportRunFacet(
        platform=target.target_kind.platform.name,
        kind=target.target_kind.name,
        operation=target.operation,
        outcome=outcome.state,
        guard=outcome.guard,
        counts={name: value for name, value in known.items() if value is not None},
        report=None if outcome.report is None else dict(outcome.report),
    )
