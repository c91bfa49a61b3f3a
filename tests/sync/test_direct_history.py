"""
Any history of syncs and direct changes, of which some fail, and with a state that is lost: who is in the audience.

The model knows the least and the most who may be there after a sync that has succeeded. Nobody who was removed directly
or has opted out is there; nobody who is wanted, or was added directly, is missing.

``AUDIENCES_MACHINE_EXAMPLES=2000`` runs it long.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from support.direct_changes import change_directly
from support.fixtures import MakeIds
from support.memory_destination import Post
from support.synced import SyncedAudience

from airflow_provider_audiences.exceptions import AudienceError, ServerError
from airflow_provider_audiences.sync.state.snapshot import read_snapshot

EXAMPLES = int(os.environ.get("AUDIENCES_MACHINE_EXAMPLES", "30"))
KEY = "dag/run/task"

people = st.sets(st.integers(0, 9))
some_people = st.sets(st.integers(0, 9), min_size=1, max_size=4)
few_people = st.sets(st.integers(0, 9), max_size=3)
troubles = st.none() | st.tuples(st.sampled_from(["refused", "reply lost", "killed"]), st.integers(1, 3))
first_troubles = st.none() | st.sampled_from([("refused", 1), ("killed", 1), ("reply lost", 1), ("refused", 2)])


class Killed(BaseException):
    """The process is dead."""


class History(RuleBasedStateMachine):
    """The audience, and what is known of it."""

    make: Callable[[], SyncedAudience]
    ids: list[str]
    counts: Counter[str]

    @initialize(others=people, initial=st.sampled_from(["append", "replace"]), source=people, first=first_troubles)
    def begin(self, others: set[int], initial: str, source: set[int], first: tuple[str, int] | None) -> None:
        self.audience = self.make()
        self.initial, self.lost = initial, "fail"
        self.source, self.opt_outs = self.named(source), set[str]()
        self.tries = 0
        self.held_back = set[str]()
        self.lately_released = set[
            str
        ]()  # by syncs that were cut off: without its manifests, the state has forgotten that
        # Beside those whom a sync has sent: who is there for sure, and who may be.
        self.added_directly, self.maybe_added_directly = set[str](), set[str]()
        self.others = self.named(others)
        self.maybe_others = set(self.others)
        self.must_replace = False
        if others:
            self.audience.post_by_others("append", sorted(self.others))
        self.sync(first, is_planned=False)

    def named(self, numbers: Any) -> set[str]:
        return {self.ids[number] for number in numbers}

    @property
    def is_recorded(self) -> bool:
        """Whether there is a state that notes direct changes."""
        return bool(read_snapshot(self.audience.folder.inner, lambda snapshot: snapshot.manifest))

    # What happens

    @rule(added=few_people, removed=few_people, opt_outs=few_people)
    def change_source(self, added: set[int], removed: set[int], opt_outs: set[int]) -> None:
        self.source = (self.source | self.named(added)) - self.named(removed - added)
        self.opt_outs = self.named(opt_outs)

    @rule(trouble=troubles, is_planned=st.booleans(), releases=st.booleans())
    def sync(self, trouble: tuple[str, int] | None, is_planned: bool, releases: bool = False) -> None:
        allowed = self.source - self.opt_outs
        wanted = allowed - (set() if releases else self.held_back)
        held_back, maybe_held_back = allowed - wanted, allowed - wanted
        if not releases and self.lost != "fail":
            maybe_held_back = held_back | (allowed & self.lately_released)
        released = wanted & self.held_back
        self.counts["released"] += bool(released)
        given: dict[str, Any] = {"suppress": self.opt_outs, "initial": self.initial, "lost": self.lost}
        given["release_held_back"] = releases
        if self.lost != "fail" or not self.is_recorded:
            self.must_replace |= "replace" in {self.lost, self.initial if self.lost == "fail" and self.others else ""}
        with self.trouble(trouble, is_direct=False) as ended:
            if is_planned:
                plan = self.audience.run(self.source, plan_only=True, opened=self.next_try(), **given)
                report = self.audience.apply(plan.plan_id, **self.next_try())
            else:
                plan = report = self.audience.run(self.source, opened=self.next_try(), **given)
            assert len(held_back) <= plan.held_back <= len(maybe_held_back)
            ended.append(report)
        # Whoever is wanted was sent, and is a member as any other from now on, even if that was cut off.
        self.others -= wanted
        self.held_back -= wanted
        self.lately_released |= released
        if not ended:
            self.added_directly -= self.opt_outs
            self.others -= self.opt_outs
            self.counts["syncs that failed"] += 1
            return
        self.counts["syncs"] += 1
        assert not self.must_replace, "the replacement that was asked for was never accepted"
        self.lost = "fail"
        live = set(self.audience.members)
        self.held_back |= maybe_held_back - live
        wanted -= self.held_back
        self.lately_released = set()
        assert not live & self.opt_outs, "who has opted out is there"
        assert not live & self.held_back, "who was removed directly is there"
        assert wanted <= live, "who is wanted is missing"
        assert (self.added_directly | self.others) - self.opt_outs <= live, (
            "who was added directly, or by others, is missing"
        )
        assert live <= wanted | self.maybe_added_directly | self.maybe_others, "who is not wanted is there"
        self.held_back &= self.source
        self.added_directly &= live
        self.maybe_added_directly &= live
        self.others = (self.others & live) - wanted
        self.maybe_others = (self.maybe_others & live) - wanted

    @rule(mode=st.sampled_from(["append", "remove", "replace"]), who=some_people, trouble=troubles)
    def change_directly(self, mode: str, who: set[int], trouble: tuple[str, int] | None) -> None:
        ids = self.named(who)
        is_recorded = self.is_recorded
        with self.trouble(trouble, is_direct=True) as ended:
            ended.append(change_directly(self.audience, mode, sorted(ids), **self.next_try()))
        self.counts[f"{mode} directly"] += 1
        if is_recorded:
            self.note(mode, ids, is_done=bool(ended))
        elif mode == "remove":
            self.others -= ids
            self.maybe_others -= ids if ended else set()
        else:
            self.others, self.maybe_others = (
                (ids if mode == "replace" else self.others | ids, ids if mode == "replace" else self.maybe_others | ids)
                if ended
                else (set() if mode == "replace" else self.others, self.maybe_others | ids)
            )

    @rule(who=some_people, trouble=troubles, is_planned=st.booleans())
    def take_back(self, who: set[int], trouble: tuple[str, int] | None, is_planned: bool) -> None:
        """Remove members of the source directly, and release them."""
        self.source |= self.named(who)
        self.change_directly("remove", who, None)
        self.sync(trouble, is_planned, releases=True)

    def note(self, mode: str, ids: set[str], *, is_done: bool) -> None:
        """Note a direct change that the state has noted, whatever has become of its requests."""
        if mode == "remove":
            self.held_back |= ids
            self.others -= ids
            self.added_directly -= ids
            self.maybe_added_directly -= ids
            return
        self.held_back -= ids
        if mode == "replace":
            self.added_directly, self.maybe_added_directly = (set(ids) if is_done else set()), set(ids)
            self.others = set()
            if is_done:
                self.maybe_others, self.must_replace = set(), False
            return
        if is_done:
            self.added_directly |= ids
        self.maybe_added_directly |= ids

    @rule(what=st.sampled_from(["head-*", "ledger-*"]), lost=st.sampled_from(["rebuild", "replace"]))
    def lose(self, what: str, lost: str) -> None:
        """A part of the state is lost; the next sync has to do without the ledger."""
        if not self.is_recorded or not list(self.audience.path.glob("ledger-*")):
            return
        self.counts[f"lost {what}"] += 1
        for file in self.audience.path.glob(what):
            file.unlink()
        self.lost = lost
        self.must_replace = False
        # Nobody knows who was sent; those whom the next sync does not want stay.
        self.added_directly = set()
        self.others = set(self.audience.members) - self.held_back
        self.maybe_others |= set(self.audience.members)
        self.sync(None, is_planned=False)

    def note_update(self, *, is_direct: bool, is_known: bool) -> None:
        """Note that the platform has replaced the content, and whether the state knows that."""
        self.counts["replacements"] += 1
        self.others, self.maybe_others = set(), set()
        if not is_direct:
            self.added_directly, self.maybe_added_directly = set(), set()
        if is_known:
            self.must_replace = False

    # How it goes

    def next_try(self) -> dict[str, Any]:
        self.tries += 1
        return {"try_number": self.tries, "key": KEY}

    @contextmanager
    def trouble(self, trouble: tuple[str, int] | None, *, is_direct: bool) -> Iterator[list[Any]]:
        """Let a request fail; the block puts what it returns into the list, if it comes to its end."""
        kind, number = trouble or ("", 0)
        ended: list[Any] = []

        def before(_post: Post) -> None:
            if len(self.audience.wire.posts) + 1 == number and kind in {"killed", "refused"}:
                raise Killed if kind == "killed" else ServerError("refused")

        def after(post: Post) -> None:
            is_lost = kind == "reply lost" and len(self.audience.wire.posts) == number
            if post.operation == "update":
                self.note_update(is_direct=is_direct, is_known=not is_lost)
            if is_lost:
                raise ServerError("the reply was lost")

        self.audience.clear()
        self.audience.wire.before, self.audience.wire.after = before, after
        try:
            yield ended
        except (AudienceError, Killed):
            if not trouble:
                raise
        finally:
            self.audience.clear()
            self.audience.advance(1)


def test_any_history(make_in_memory: Any, make_ids: MakeIds) -> None:
    counts: Counter[str] = Counter()

    class Machine(History):
        pass

    Machine.make = staticmethod(make_in_memory)
    Machine.ids = make_ids(10)
    Machine.counts = counts
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    print(*(f"{name}: {count}" for name, count in sorted(counts.items())), sep="\n")  # noqa: T201 - pytest -s
    assert min(counts[name] for name in ("syncs", "syncs that failed", "released", "replacements", "lost head-*")) > 0
