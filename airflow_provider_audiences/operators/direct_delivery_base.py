"""
Base class of the operators that send a whole source, without a plan: update, append and remove.

Heavy libraries are imported inside methods, because Airflow parses DAG files all the time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_audiences.common.masked import AddressField, MaskedFieldsMixin, MembersField
from airflow_provider_audiences.operators.delivery_base import DeliveryOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_audiences.sync.destination import Destination
    from airflow_provider_audiences.sync.recorded_delivery import RecordedDelivery
    from airflow_provider_audiences.sync.state.file_store import FileStore


class DirectDeliveryOperator(MaskedFieldsMixin, DeliveryOperator):
    """
    Base of the operators that stage a source and send all of it in batches.

    :class:`~airflow_provider_audiences.operators.applovin.AppLovinUpdateAudienceOperator` documents the arguments.
    """

    mode: ClassVar[Literal["replace", "append", "remove"]]
    limit_arguments = frozenset({"max_malformed_ratio"})
    template_fields: Sequence[str] = (
        "source",
        "max_malformed_ratio",
        "rejects_path",
        "wait_for_audience_seconds",
        "account",
    )
    template_ext: Sequence[str] = (".sql",)  # of an SqlSource
    source = MembersField()
    rejects_path = AddressField()
    ttl_seconds: int | str | timedelta | None = None
    allow_empty: bool = False

    def __init__(
        self,
        *,
        source: Any,
        on_malformed: Literal["drop", "fail"] = "drop",
        max_malformed_ratio: float | str | None = None,
        rejects_path: Any = None,
        rejects_include_values: bool = False,
        dry_run: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.on_malformed = on_malformed
        self.max_malformed_ratio = max_malformed_ratio
        self.rejects_path = rejects_path
        self.rejects_include_values = rejects_include_values
        self.is_dry_run = dry_run  # Airflow's operators have a method of the name

    @property
    def sources_read(self) -> Sequence[Any]:
        """The source."""
        return (self.source,)

    def execute(self, context: Context) -> dict[str, Any]:
        """Stage the source and send it."""
        from airflow_provider_audiences.common.state import ledger_store
        from airflow_provider_audiences.sources.member_arguments import MemberArguments
        from airflow_provider_audiences.sync.delivery.direct_delivery import DirectDelivery
        from airflow_provider_audiences.validation import true_or_false

        with self.publishing_outcome(context) as result, self.running():
            arguments = MemberArguments.of(self, identifier_kind=self.identifier_kind)
            is_dry_run = true_or_false("dry_run", self.is_dry_run)
            delivery = DirectDelivery.checked(
                audience_id=self.target_id(),
                limits=self.delivery_limits,
                mode=self.mode,
                batch_size=self.batch_size,
                ttl_seconds=self.ttl_seconds,
                allow_empty=self.allow_empty,
                max_parallel_requests=self.max_parallel_requests,
            )
            wait_seconds = self.wait_seconds
            with self.open_client() as client, ExitStack() as stack:
                destination = self.destination_at(client, delivery.audience_id)
                on_progress = self.watch(result, destination, context)
                wait_for_earlier_try = partial(self._wait_for_earlier_try, context, destination)
                folders = destination.address.folders
                recorded = None
                if not is_dry_run and (store := ledger_store(*folders)):
                    recorded = stack.enter_context(self._recorded(context, destination, store, wait_seconds))
                staged = stack.enter_context(arguments.staged_source())
                if not is_dry_run and recorded is None and (store := ledger_store(*folders)):
                    # A sync has begun a ledger while the source was read.
                    recorded = stack.enter_context(
                        self._recorded(context, destination, store, wait_seconds, may_reschedule=False)
                    )
                if is_dry_run:
                    report = delivery.dry_run(destination, staged)
                elif recorded:
                    report = recorded.run(
                        delivery, staged, on_progress=on_progress, before_unrecorded=wait_for_earlier_try
                    )
                    result.live, result.expiry = recorded.live, recorded.expiry
                else:
                    wait_for_earlier_try()
                    report = delivery.run(destination, staged, on_progress=on_progress)
            result.report = report.as_dict()
        self.log_report(report.as_dict())
        return report.as_dict()

    def _wait_for_earlier_try(self, context: Context, destination: Destination) -> None:
        """
        Wait until no request of an earlier try can take effect any more, if it may replace what this one sends.

        No ledger tells what that try has sent. Airflow has let the task's ``retry_delay`` go by already.
        """
        if self.mode != "replace" or context["ti"].try_number < 2:  # noqa: PLR2004 - the second try
            return
        seconds = destination.limits.orphan_effect_seconds - self.retry_delay.total_seconds()
        if seconds > 0:
            self.log.info(
                "An earlier try's last request may still take effect, and replace what this one sends: waiting %.0f s.",
                seconds,
            )
            time.sleep(seconds)

    @contextmanager
    def _recorded(
        self,
        context: Context,
        destination: Destination,
        store: FileStore,
        wait_seconds: float,
        *,
        may_reschedule: bool = True,
    ) -> Iterator[RecordedDelivery]:
        """Take the lease of an audience that has a ledger; the imports are here since other audiences need none."""
        from airflow_provider_audiences.common.busy import wait_for_audience
        from airflow_provider_audiences.common.state import holder_of
        from airflow_provider_audiences.sources.staging import staging_settings
        from airflow_provider_audiences.sync.open_audience import open_audience
        from airflow_provider_audiences.sync.recorded_delivery import RecordedDelivery

        with open_audience(
            destination,
            store,
            holder=holder_of(context),
            on_busy=wait_for_audience(context, seconds=wait_seconds, may_reschedule=may_reschedule),
            staging=staging_settings(),
        ) as audience:
            yield RecordedDelivery(audience)
