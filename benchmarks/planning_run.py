"""
Runs the steps of a sync before and after sending, one by one, and writes how long each took as JSON.

``python -m benchmarks.planning_run SOURCE STATE RESULT``: STATE is the folder of the setting ``state_path``, after the
first sync of one audience. Nothing is sent. The state stays as it is, except for a stored plan that is never applied.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_audiences.members.identifiers.kinds import AdvertisingIds
from airflow_provider_audiences.members.keys.key_set import KeySetWriter
from airflow_provider_audiences.members.staging import StagingRules, stage
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.platforms.applovin.defaults import AUDIENCE_LIMITS
from airflow_provider_audiences.sources.opening import open_source
from airflow_provider_audiences.sync.destination import AudienceAddress
from airflow_provider_audiences.sync.plan import PlanRules, make_plan
from airflow_provider_audiences.sync.state.audience_state import AudienceState
from airflow_provider_audiences.sync.state.delivered import Delivered
from airflow_provider_audiences.sync.state.file_store import LocalFileStore
from airflow_provider_audiences.sync.state.fold import fold
from airflow_provider_audiences.sync.state.lease import Holder, leased
from benchmarks.operator_run import peak_megabytes

_TTL_SECONDS = 365 * 24 * 3600


def main(source_path: str, state_path: str, result_path: str) -> int:
    """
    Take the steps.

    :param source_path: the text of the next day.
    :param state_path: folder that ``state_path`` named.
    :param result_path: where the result goes.
    :return: exit status.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - started

    head_path = max(Path(state_path).rglob("head-*.json"))
    folder = LocalFileStore(head_path.parent)
    head = json.loads(head_path.read_text(encoding="utf-8"))["head"]
    address = AudienceAddress(api=head["platform"], host=head["host"], audience_id=head["audience_id"])
    holder = Holder(key="bench", try_number=1)
    settings = StagingSettings()
    now = time.time()
    rules = PlanRules(now=now, due_before=now, ttl_seconds=_TTL_SECONDS, replaces=False, removes=True)
    with leased(folder, holder) as lease, open_workspace(settings) as workspace, open_source(source_path) as source:
        state = AudienceState(
            folder,
            address,
            lease=lease,
            limits=AUDIENCE_LIMITS,
            key_column="advertising_id",
            workspace=workspace,
            clock=time.time,
        )
        started = time.perf_counter()
        with stage(source, rules=StagingRules(), settings=settings, identifier_kind=AdvertisingIds()) as staged:
            seconds["staging"] = time.perf_counter() - started
            with timed("ledger"):
                state.load()
                ledger = state.ledger()
            no_opt_outs = KeySetWriter(workspace.new_file()).finish()
            with timed("plan"):
                plan = make_plan(staged.keys_by_part, no_opt_outs, ledger, rules=rules, workspace=workspace)
            with timed("store"):
                state.store_plan(plan, details={})
            delivered = Delivered(begun_at=int(now))
            delivered.additions.add(0, plan.additions.count, began=now, ended=now)
            delivered.removals.add(0, plan.removals.count, began=now, ended=now)
            with timed("fold"):
                for _ in fold(ledger, plan, delivered, now=now, late_effect_seconds=100, late_until=0):
                    pass
    facts = {"additions": plan.additions.count, "peak_megabytes": peak_megabytes()}
    Path(result_path).write_text(json.dumps(seconds | facts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
