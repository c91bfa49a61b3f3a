"""
An ad platform of another package: screens, each of which shows an advertisement to the devices of its audience.

A folder stands for the platform; a screen's audience is a file of advertising IDs in it. :func:`install` makes this
module a package that is installed, as pip would.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_audiences.common.targets import AdPlatform, TargetKind
from airflow_provider_audiences.operators.sync_base import SyncOperator
from airflow_provider_audiences.validation import required_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_audiences.http.calls import GiveUp
    from airflow_provider_audiences.members.batches import MemberBatch
    from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
    from airflow_provider_audiences.sync.destination import AudienceAddress, BatchResult, DeliveryLimits

BILLBOARDS = AdPlatform(
    name="billboards", title="Billboards", conn_types=("billboards",), hook="support.billboards:BillboardsHook"
)
SCREEN = TargetKind(
    platform=BILLBOARDS,
    name="screen",
    title="Screen",
    folder="screens",
    named_by="screen_id",
    sync_operator="support.billboards:BillboardsSyncScreenOperator",
)
TWICE = (SCREEN, SCREEN)
OF_THEIR_CONNECTIONS = replace(
    SCREEN, platform=replace(BILLBOARDS, name="walls", conn_types=("applovin",)), name="wall", folder="walls"
)
"""Kinds that can't be taken: one of them twice, and one whose connections are those of another platform."""


def install(site: Path, *, leads_to: str = "support.billboards:SCREEN") -> None:
    """
    Install the package into a folder of Python's path.

    :param site: an existing folder.
    :param leads_to: what its entry point leads to.
    """
    folder = site / "billboards-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: billboards\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(f"[airflow_provider_audiences.target_kinds]\nbillboards = {leads_to}\n")


class BillboardsHook(BaseHook):
    """Takes the platform's folder from a connection's host."""

    def __init__(self, billboards_conn_id: str) -> None:
        super().__init__()
        self.folder = Path(str(self.get_connection(billboards_conn_id).host))


class Screen:
    """A screen's audience, as a destination of syncs: all public names but ``members`` are those of ``Destination``."""

    platform_name = "Billboards"
    rejection_hint = "have these devices passed by?"

    def __init__(self, folder: Path, screen_id: str, identifier_kind: AdvertisingIds) -> None:
        self._file = folder / f"{screen_id}.json"
        self._screen_id = screen_id
        self.identifier_kind = identifier_kind
        self.limits = _limits()
        self.requests_sent = 0

    @property
    def address(self) -> AudienceAddress:
        from airflow_provider_audiences.sync.destination import AudienceAddress

        return AudienceAddress(api="billboards", host="here", audience_id=self._screen_id)

    @property
    def max_member_bytes(self) -> int:
        return self.identifier_kind.line_bytes

    def members(self) -> set[str]:
        return set(json.loads(self._file.read_text())) if self._file.exists() else set()

    def add(self, batch: MemberBatch, *, ttl_seconds: int | None, give_up: GiveUp) -> BatchResult:  # noqa: ARG002
        return self._stored(self.members().union(batch.texts()), batch)

    def remove(self, batch: MemberBatch, *, give_up: GiveUp) -> BatchResult:  # noqa: ARG002
        return self._stored(self.members().difference(batch.texts()), batch)

    def replace(self, batch: MemberBatch, *, ttl_seconds: int | None, give_up: GiveUp) -> BatchResult:  # noqa: ARG002
        raise AssertionError("the platform can't replace")

    def member_count(self) -> int | None:
        self.requests_sent += 1
        return len(self.members())

    def _stored(self, members: Iterable[str], batch: MemberBatch) -> BatchResult:
        from airflow_provider_audiences.sync.destination import BatchResult

        self.requests_sent += 1
        self._file.write_text(json.dumps(sorted(members)))
        return BatchResult(valid=len(batch), invalid=0, body_bytes=len(batch.lines()))


class BillboardsSyncScreenOperator(SyncOperator):
    """Make a screen's audience equal its source."""

    target_argument = "screen_id"
    target_kind = SCREEN
    target_arguments: ClassVar[tuple[str, ...]] = ("screen_id",)
    template_fields = ("screen_id", *SyncOperator.template_fields, "billboards_conn_id")
    operation = "sync"
    initial = "append"  # whoever is there before the first sync stays; the default would refuse to begin

    def __init__(self, *, screen_id: str, billboards_conn_id: str = "billboards_default", **kwargs: Any) -> None:
        super().__init__(**{"batch_size": 1_000, "max_parallel_requests": 1, **kwargs})
        self.screen_id = screen_id
        self.billboards_conn_id = billboards_conn_id
        self.name_outlet()

    @property
    def delivery_limits(self) -> DeliveryLimits:
        return _limits()

    @property
    def identifier_kind(self) -> AdvertisingIds:
        from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds

        return AdvertisingIds()

    def target_id(self) -> str:
        return required_text("screen_id", self.screen_id)

    @contextmanager
    def open_client(self, *, notes_errors: bool = True) -> Iterator[Path]:  # noqa: ARG002
        yield BillboardsHook(self.billboards_conn_id).folder

    def destination_at(self, client: Path, target: str) -> Screen:
        return Screen(client, target, self.identifier_kind)


def _limits() -> DeliveryLimits:
    from airflow_provider_audiences.sync.destination import DeliveryLimits

    return DeliveryLimits(
        max_batch_size=1_000,
        max_parallel_requests=1,
        late_effect_seconds=0,
        max_request_seconds=0,
        default_ttl_seconds=None,
        can_replace=False,
    )
