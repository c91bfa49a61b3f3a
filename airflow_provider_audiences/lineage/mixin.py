"""
The base of operators that tell of their lineage: the methods that OpenLineage's provider calls in a task.

DAG files import this module, so OpenLineage is imported when it asks.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_audiences.assets.events import WriteTarget
    from airflow_provider_audiences.assets.state import TryResult


class LineageMixin:
    """Base of operators that read members, or write to an audience, a suppression list or a group."""

    try_result: TryResult | None = None
    """How this try has ended; None while it runs."""

    @property
    def sources_read(self) -> Sequence[Any]:
        """What the task reads: values of its fields, masked or not, and names of datasets; the base class has none."""
        return ()

    @property
    @abstractmethod
    def dataset_written(self) -> Asset | None:
        """What the task writes to, as an asset of ours; None if it writes nothing, or it is not known what."""

    @property
    @abstractmethod
    def write_target(self) -> WriteTarget:
        """What the task writes to, and how."""

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any] | None:
        """Return inputs and output. OpenLineage's provider calls this when the task begins."""
        return self._lineage(None)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """
        Return inputs, output and report. OpenLineage's provider calls this when the task has succeeded.

        :param task_instance: of Airflow; not used.
        """
        return self._lineage(self.try_result)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """
        Return inputs, output, and what was sent so far. OpenLineage's provider calls this when the task has failed.

        :param task_instance: of Airflow; not used.
        """
        return self._lineage(self.try_result)

    def _lineage(self, try_result: TryResult | None) -> OperatorLineage[Any, Any] | None:
        try:
            from airflow_provider_audiences.lineage.events import lineage_of
        except ImportError:  # only OpenLineage's provider asks, and brings what is imported; an old one may not
            return None
        return lineage_of(
            self.sources_read, output=self.dataset_written, target=self.write_target, try_result=try_result
        )
