"""
Three refreshes of one line of PAI groups at once, in threads, of which one at a time sends its next request.

``AUDIENCES_MACHINE_EXAMPLES=2000`` tries as many orders of their requests.
"""

import os
import threading
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.adapters import BaseAdapter

from airflow_provider_audiences.exceptions import NotFoundError, TransientError
from airflow_provider_audiences.platforms.pai.client import PaiClient
from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec, PaiSource
from airflow_provider_audiences.platforms.pai.groups import AudienceGroup
from airflow_provider_audiences.platforms.pai.pending_refresh import PendingRefresh
from airflow_provider_audiences.platforms.pai.readiness import ReadinessRule
from airflow_provider_audiences.platforms.pai.refresh import GroupRefresh
from airflow_provider_audiences.waiting.polls import PollState

EXAMPLES = int(os.environ.get("AUDIENCES_MACHINE_EXAMPLES", "25"))
SPEC = GroupSpec(source=PaiSource.ALGORITHM, name="VIP", algorithm="a", inference_job_id="j")
CHECK_SECONDS = 30
PASSED = 1
SIDES = 3
TIME = SIDES
"""In an order of requests: the platform's checks end."""


class Killed(BaseException):
    """The process is dead: nothing of it runs on."""


class Side(BaseAdapter):
    """
    One refresh, in a thread of its own; it stands before a request until it is let go on.

    :param client: its client, whose requests go through this.
    :param url: where the requests go.
    :param run: the run's id; two sides of one run are two tries.
    :param content: fingerprint of its members.
    :param killed_at: which of its requests it does not survive; 0 for none.
    """

    def __init__(self, client: PaiClient, url: str, *, run: str, content: str, killed_at: int) -> None:
        super().__init__()
        session = client._transport._session
        self._inner = session.get_adapter(url)
        session.mount("http://", self)
        self._client, self._killed_at = client, killed_at
        self._may_send, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._sent = 0
        self.is_over = False
        self.result: AudienceGroup | None = None
        self.error: Exception | None = None
        self._marker = client.marker(provenance="dag:task", run=run, spec=SPEC, fingerprint=content)
        self._rule = ReadinessRule.of(min_amount=1, ready_statuses=[PASSED])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._stands.acquire()

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        self._stands.release()
        self._may_send.acquire()
        self._sent += 1
        if self._sent == self._killed_at:
            raise Killed
        return self._inner.send(request, *args, **kwargs)

    def close(self) -> None:
        self._inner.close()

    def step(self) -> None:
        """Let it send a request, and get as far as the next one, or to its end."""
        if not self.is_over:
            self._may_send.release()
            self._stands.acquire()
        if self.is_over:
            self._thread.join()

    def _run(self) -> None:
        try:
            self.result = self._work()
        except TransientError as error:
            self.error = error
        except Killed:
            pass
        finally:
            self.is_over = True
            self._stands.release()

    def _work(self) -> AudienceGroup | None:
        """Do what ``PaiSyncGroupOperator`` does."""
        refresh = GroupRefresh(
            self._client,
            name="VIP",
            owner=self._marker.owner,
            idempotency_key=self._marker.idempotency_key,
            map_index=-1,
            rule=self._rule,
        )
        tidied = refresh.tidy(self._marker)
        current = tidied.current
        if current and tidied.is_newest and self._marker.same_content(current.marker):
            return current
        begun = refresh.begin(SPEC, self._marker, tidied, began_epoch_seconds=0)
        try:
            is_ready = self._waits_for(begun)
        except NotFoundError:
            return refresh.finish(begun, is_gone=True).group
        if not is_ready:
            refresh.delete_unready(begun.group_id)
            return None
        return refresh.finish(begun).group

    def _waits_for(self, begun: PendingRefresh) -> bool:
        """Return whether the group became ready; it may be rejected."""
        while True:
            state = self._rule.assess(self._client.get_group(begun.group_id), self._client.dialect).state
            if state is not PollState.WAITING:
                return state is PollState.READY


sides = st.tuples(
    st.sampled_from(["r1", "r1", "r2", "r3"]),
    st.sampled_from(["", "x", "y"]),
    st.sampled_from([0, 0, 0, 1, 2, 3, 4, 5, 6, 7]),
)


class World:
    """The platform, and what has to be true of its groups."""

    def __init__(self, emulator: Any, make_pai: Callable[[], PaiClient], *, checked: bool, is_one_second: bool) -> None:
        self.emulator, self.make_pai, self.is_one_second = emulator, make_pai, is_one_second
        self.is_empty = True
        emulator.reset()
        emulator.freeze()
        emulator.settings(processing_seconds=0)
        self.let_end([self.side("r0", "x", 0)])
        assert self.ready()
        emulator.settings(processing_seconds=CHECK_SECONDS if checked else 0)

    def side(self, run: str, content: str, killed_at: int) -> Side:
        return Side(self.make_pai(), self.emulator.url, run=run, content=content, killed_at=killed_at)

    def there(self) -> list[AudienceGroup]:
        return [AudienceGroup.from_api(group) for group in self.emulator.groups()]

    def ready(self) -> list[AudienceGroup]:
        return [group for group in self.there() if group.status == PASSED]

    def pass_time(self) -> None:
        self.emulator.advance(CHECK_SECONDS if self.is_one_second else CHECK_SECONDS + 60)

    def let_end(self, running: list[Side]) -> None:
        while not all(side.is_over for side in running):
            for side in running:
                side.step()
            self.pass_time()
            assert self.ready() or self.is_empty, "no group is left"
        self.is_empty = False

    def check(self, side: Side) -> None:
        """Check that what a success returned is there, or was replaced by a later one."""
        if side.result:
            rank = side.result.rank
            assert any(group.id == side.result.id or group.rank > rank for group in self.ready()), "a lie"


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize="AUDIENCES_MACHINE_EXAMPLES" not in os.environ,
)
@given(
    given_sides=st.lists(sides, min_size=2, max_size=SIDES),
    order=st.lists(st.integers(0, SIDES), max_size=40),
    checked=st.booleans(),
    is_one_second=st.booleans(),
)
def test_any_order_of_their_requests_leaves_a_group(
    emulator: Any,
    make_pai: Any,
    given_sides: list[tuple[str, str, int]],
    order: list[int],
    checked: bool,
    is_one_second: bool,
) -> None:
    world = World(emulator, make_pai, checked=checked, is_one_second=is_one_second)
    running = [world.side(*values) for values in given_sides]
    try:
        for choice in order:
            if choice == TIME:
                world.pass_time()
            elif choice < len(running):
                running[choice].step()
            assert world.ready(), "no group is left"
    finally:
        world.let_end(running)
    for side in running:
        world.check(side)
    # Without a success, the group that was there before stays too.
    assert len(world.there()) <= len(running) + (not any(side.result for side in running))
    last = world.side("r9", "z", 0)
    world.let_end([last])
    assert last.result
    assert [group.id for group in world.there()] == [last.result.id]
