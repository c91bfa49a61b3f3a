"""
The mixin of operators that can work on one partition of an audience.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow_provider_audiences.common.forgetting import merged
from airflow_provider_audiences.members.partition import WHOLE, Partition
from airflow_provider_audiences.sources.predicates import NAME, TemplatePartition

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator as _Base
    from jinja2 import Environment

    from airflow_provider_audiences.sync.destination import Destination
    from airflow_provider_audiences.sync.report import SyncReport
    from airflow_provider_audiences.sync.state.file_store import FileStore
else:
    _Base = object

_ASKED_FIRST = (NAME,)


class PartitionMixin(_Base):
    """
    Mixin of operators that work on the whole audience, or on one partition of it.

    :ivar partition: name of the partition; None for the whole audience.
    """

    partition: Any = None

    @property
    def selected_partition(self) -> Partition | None:
        """
        The partition; None for the whole audience.

        :raises InvalidInputError: ``partition`` is no name of one.
        """
        if self.partition is None:
            return None
        partition = Partition.named(self.partition)
        return partition if partition.hex else None

    @property
    def publishes_outcome(self) -> bool:
        """Whether the task tells Airflow how it ends. A partition's does not: the sync's last task does, for all."""
        is_whole = self.partition is None or str(self.partition).strip().lower() == WHOLE
        return is_whole and bool(super().publishes_outcome)  # type: ignore[misc] # of TargetMixin

    @property
    def placed_arguments(self) -> frozenset[str]:
        """Names of the arguments whose templates have used ``partition``."""
        return frozenset(self.__dict__.get("_placed_arguments", ()))

    def report_dict(self, report: SyncReport) -> dict[str, Any]:
        """
        Return a report as JSON, with the name of the partition if it is of one.

        :param report: the report.
        """
        partition = self.selected_partition
        return {**report.as_dict(), **({"partition": partition.name} if partition else {})}

    def state_stores(self, destination: Destination, partition: Partition | None = None) -> tuple[FileStore, FileStore]:
        """
        Return the file store of the whole audience's state, and that of a partition, or the same again.

        :param destination: the audience.
        :param partition: the partition; None (default) for the selected one, or the whole audience.
        """
        from airflow_provider_audiences.common.state import folder_of, state_store

        folders = destination.address.folders
        partition = partition or self.selected_partition
        whole = state_store(*folders)
        folder = folder_of(partition) if partition else ""
        return whole, state_store(*folders, folder) if folder else whole

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Any,
        jinja_env: Environment,
        seen_oids: set[int],
        **options: Any,
    ) -> None:
        """Render the fields; their templates know the ``partition``. Airflow calls this, for mapped tasks too."""
        fields = list(template_fields)
        if parent is not self or self.partition is None:
            super()._do_render_template_fields(parent, fields, context, jinja_env, seen_oids, **options)
            return
        first = [name for name in fields if name in _ASKED_FIRST]
        super()._do_render_template_fields(parent, first, context, jinja_env, seen_oids, **options)
        if fields == first or self.partition is None:
            return
        placed = self.__dict__.setdefault("_placed_arguments", set())
        for name in (name for name in fields if name not in first):
            placeholder = TemplatePartition(Partition.named(self.partition))
            with merged(context, {NAME: placeholder}):
                super()._do_render_template_fields(parent, [name], context, jinja_env, seen_oids, **options)
            if placeholder.is_used:
                placed.add(name)
