"""What a manifest becomes when a plan is begun, finished or given up, or the state is moved to other partitions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from airflow_provider_audiences.members.keys.key_set import fingerprint_of
from airflow_provider_audiences.sync.state.delivered import Delivered
from airflow_provider_audiences.sync.state.late import LateRequests
from airflow_provider_audiences.sync.state.manifest import Manifest
from airflow_provider_audiences.sync.state.tables import EMPTY_LEDGER

if TYPE_CHECKING:
    from airflow_provider_audiences.sync.destination import AudienceAddress
    from airflow_provider_audiences.sync.plan import Plan
    from airflow_provider_audiences.sync.run_date import RunDate
    from airflow_provider_audiences.sync.state.manifest import DirectChangeFiles, StoredLedger
    from airflow_provider_audiences.sync.state.stored_plans import StoredPlan


def first_manifest(
    address: AudienceAddress, stored: StoredPlan, *, direct_changes: DirectChangeFiles, late_until: int
) -> Manifest:
    """
    Return the manifest of a state that begins, before its first plan is begun.

    :param address: identifies the audience.
    :param stored: the first plan.
    :param direct_changes: who was removed directly, if there was a state before, whose ledger is lost.
    :param late_until: until when requests of that state may still take effect; seconds since 1970 (UTC).
    """
    return Manifest(
        address=address,
        generation=stored.generation,
        ledger=EMPTY_LEDGER,
        direct_changes=direct_changes,
        late_until=late_until,
        is_content_known=False,  # known once the replacement's first request is accepted
    )


def after_begin(manifest: Manifest, stored: StoredPlan, *, is_direct: bool, now: float) -> Manifest:
    """
    Return the manifest of a plan that is begun: from now on, all of it counts as possibly sent.

    :param manifest: the manifest before.
    :param stored: the plan, as it was stored.
    :param is_direct: whether it is a direct change. If a replacement was begun and never accepted, it is still to be
        made after a direct change, and no longer after a sync that does not replace.
    :param now: seconds since 1970 (UTC).
    """
    plan = stored.plan
    decides_about_unknown_members = not plan.replaces and not is_direct
    return replace(
        manifest,
        plan_id=stored.plan_id,
        delivered=Delivered(begun_at=int(now)),
        replacement_fingerprint=fingerprint_of(plan.additions) if plan.replaces else manifest.replacement_fingerprint,
        is_content_known=manifest.is_content_known or decides_about_unknown_members,
        has_unknown_members=manifest.has_unknown_members or plan.has_unknown_members,
        run_date=stored.run_date or manifest.run_date,
    )


def after_begin_again(manifest: Manifest, delivered: Delivered, plan: Plan) -> Manifest:
    """
    Return the manifest of a plan that an earlier try has begun, and that is taken up again.

    Requests that the earlier try had in flight are sent again; the first ones may take effect after that.

    :param manifest: the manifest before.
    :param delivered: what the earlier try has delivered of the plan.
    :param plan: the plan.
    """
    is_replacement_in_flight = plan.replaces and not delivered.additions
    return replace(
        manifest,
        delivered=replace(
            delivered,
            is_repeated=True,
            is_replacement_repeated=delivered.is_replacement_repeated or is_replacement_in_flight,
        ),
    )


def after_delivery(
    manifest: Manifest, delivered: Delivered, stored: StoredPlan, *, seconds_per_request: float
) -> Manifest:
    """
    Return the manifest of a plan that is delivered completely, and is about to be folded.

    :param manifest: the manifest before, in which the plan is begun.
    :param delivered: what was delivered: all of the plan.
    :param stored: the plan, as it was stored.
    :param seconds_per_request: average time of the plan's requests.
    """
    plan = stored.plan
    removed_before = manifest.removed_opt_outs_fingerprint if plan.has_unknown_members else ""
    return replace(
        manifest,
        replacement_fingerprint="",
        finished_plan_id=stored.plan_id,
        finished_batches=delivered.batches,
        has_unknown_members=plan.has_unknown_members,
        removed_opt_outs_fingerprint=plan.removed_opt_outs_fingerprint or removed_before,
        seconds_per_request=round(seconds_per_request, 3),
    )


def after_no_change(before: Manifest, manifest: Manifest, *, run_date: RunDate | None, plan_id: str) -> Manifest:
    """
    Return the manifest after a run that found the audience equal to its source.

    :param before: the manifest before the run.
    :param manifest: the same, with the direct changes from now on.
    :param run_date: dates of the run; None if it has none.
    :param plan_id: id of the stored plan that has nothing to send; empty for none.
    """
    last = manifest.run_date
    if run_date and (last is None or last.is_older_than(run_date)):
        manifest = replace(manifest, run_date=run_date)
    if manifest == before or not plan_id:
        return manifest
    # This outdates the plan too, and whoever applies it again is to find that it was carried out.
    return replace(manifest, finished_plan_id=plan_id, finished_batches=0)


def after_fold(
    manifest: Manifest, plan: Plan, ledger: StoredLedger, *, now: float, late_effect_seconds: int
) -> Manifest:
    """
    Return the manifest after a plan, or what was sent of it, was folded into a new ledger.

    :param manifest: the manifest before, in which the plan is begun.
    :param plan: the plan.
    :param ledger: the new ledger.
    :param now: no request of the plan was sent later than this; seconds since 1970 (UTC).
    :param late_effect_seconds: longest time after it was sent that a request may still take effect.
    """
    delivered = manifest.delivered or Delivered(begun_at=0)
    is_fully_delivered = _is_fully_delivered(plan, delivered)
    is_replacement_in_doubt = plan.replaces and not delivered.additions
    # The ledger does not show all doubt: members that were in doubt and were sent since, and members whose refresh may
    # still take effect.
    is_doubt_hidden = manifest.late_until > now or bool(plan.counts.refreshed and not is_fully_delivered)
    return replace(
        _with_late_requests(manifest, plan, now=now, late_effect_seconds=late_effect_seconds),
        generation=manifest.generation + 1,
        ledger=ledger,
        plan_id="",
        delivered=None,
        replacement_fingerprint="" if is_replacement_in_doubt else manifest.replacement_fingerprint,
        is_doubt_in_ledger=not (delivered.is_repeated or is_replacement_in_doubt or is_doubt_hidden),
    )


def after_changes(
    manifest: Manifest, plan: Plan, *, now: float, late_effect_seconds: int, seconds_per_request: float | None
) -> Manifest:
    """
    Return the manifest after a plan of changes that were handed in was finished or given up; no ledger notes it.

    :param manifest: the manifest before, in which the plan is begun.
    :param plan: the plan.
    :param now: no request of the plan was sent later than this; seconds since 1970 (UTC).
    :param late_effect_seconds: longest time after it was sent that a request may still take effect.
    :param seconds_per_request: average time of the plan's requests; None if the plan is given up.
    """
    ended = replace(
        _with_late_requests(manifest, plan, now=now, late_effect_seconds=late_effect_seconds),
        generation=manifest.generation + 1,
        plan_id="",
        delivered=None,
        is_doubt_in_ledger=False,
    )
    if seconds_per_request is None:
        return replace(ended, changes_fingerprint="")
    return replace(
        ended,
        finished_plan_id=manifest.plan_id,
        finished_batches=manifest.delivered.batches if manifest.delivered else 0,
        seconds_per_request=round(seconds_per_request, 3),
    )


def after_move(
    sources: Sequence[Manifest], *, address: AudienceAddress, has_unknown_members: bool, now: float
) -> Manifest:
    """
    Return the manifest of a state that is put together of others, or split from one; it names no files yet.

    :param sources: manifests of the states, in which no plan is begun; none for a state without members.
    :param address: identifies the audience.
    :param has_unknown_members: whether the audience may have members that no ledger knows.
    :param now: seconds since 1970 (UTC).
    """
    moved = Manifest(
        address=address,
        generation=max((manifest.generation for manifest in sources), default=0),
        ledger=EMPTY_LEDGER,
        is_content_known=True,
        late_until=max((manifest.late_until for manifest in sources), default=0),
        is_doubt_in_ledger=all(manifest.is_doubt_in_ledger for manifest in sources),
        seconds_per_request=max((manifest.seconds_per_request for manifest in sources), default=0.0),
        has_unknown_members=has_unknown_members or any(manifest.has_unknown_members for manifest in sources),
    )
    if late := [manifest.late for manifest in sources if manifest.late_until > now]:
        moved = replace(moved, late=reduce(or_, late))
    for run_date in (manifest.run_date for manifest in sources if manifest.run_date):
        if moved.run_date is None or moved.run_date.is_older_than(run_date):
            moved = replace(moved, run_date=run_date)
    return moved


def _with_late_requests(manifest: Manifest, plan: Plan, *, now: float, late_effect_seconds: int) -> Manifest:
    """Return the manifest with what requests of the plan, and of those before it, may still do after its end."""
    delivered = manifest.delivered or Delivered(begun_at=0)
    # Each request has had its reply, and so can't take effect later than that.
    all_have_ended = _is_fully_delivered(plan, delivered) and not delivered.is_repeated
    late = LateRequests.of(plan, delivered)
    return replace(
        manifest,
        late_until=manifest.late_until if all_have_ended else math.ceil(now) + late_effect_seconds,
        late=manifest.late | late if manifest.late_until > now else late,
    )


def _is_fully_delivered(plan: Plan, delivered: Delivered) -> bool:
    return (delivered.additions.count, delivered.removals.count) == (plan.additions.count, plan.removals.count)
