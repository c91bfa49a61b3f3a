import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.fixtures import MakeIds

from airflow_provider_audiences.emulator.members import MemberStore, format_id, parse_ids

NO_ID = "00000000-0000-0000-0000-000000000000"
# Few, so that steps meet the same members again.
POOL = [uuid.UUID(int=number + 1).bytes for number in range(8)]
members = st.lists(st.sampled_from(POOL), max_size=8)
moments = st.integers(min_value=-50, max_value=50)


class StoreModel(RuleBasedStateMachine):
    """The store against a dict of expiries, with a clock that goes both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemberStore()
        self.expected: dict[bytes, int] = {}
        self.now_ms = 1_000

    @rule(ids=members, ttl=moments)
    def replace(self, ids: Any, ttl: int) -> None:
        self.store.replace(ids, expires_ms=self.now_ms + ttl)
        self.expected = dict.fromkeys(ids, self.now_ms + ttl)

    @rule(ids=members, ttl=moments)
    def put(self, ids: Any, ttl: int) -> None:
        self.store.put(ids, expires_ms=self.now_ms + ttl)
        self.expected.update(dict.fromkeys(ids, self.now_ms + ttl))

    @rule(ids=members)
    def remove(self, ids: Any) -> None:
        self.store.remove(ids)
        for item in ids:
            self.expected.pop(item, None)

    @rule(step=moments)
    def move_clock(self, step: Any) -> None:
        self.now_ms += step

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def move_clock_onto_an_expiry(self, data: Any) -> None:
        self.now_ms = data.draw(st.sampled_from(sorted(set(self.expected.values()))))

    @invariant()
    def is_the_same_set(self) -> None:
        live = {item: expiry for item, expiry in self.expected.items() if expiry > self.now_ms}
        found = self.store.live(self.now_ms)
        assert found.count == len(live)
        assert found.expires_min_ms == min(live.values(), default=None)
        assert found.expires_max_ms == max(live.values(), default=None)
        assert self.store.stored_count() == len(self.expected)
        rows, after = [], b""
        while page := self.store.page(after=after, now_ms=self.now_ms, limit=3):
            rows += page
            after = page[-1][0]
        assert rows == sorted(live.items())

    def teardown(self) -> None:
        self.store.close()


StoreModel.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestStoreModel = StoreModel.TestCase

valid_lines = st.uuids().map(str).flatmap(lambda text: st.sampled_from([text, text.upper()]))
invalid_lines = st.one_of(
    st.just(NO_ID),
    st.uuids().map(lambda value: value.hex),
    st.uuids().map(lambda value: f"{{{value}}}"),
    st.text(min_size=1, max_size=40)
    .filter(lambda text: text.encode("utf-8", "ignore").strip())
    .filter(lambda text: "\n" not in text and len(text) != 36),
)
blank_lines = st.sampled_from(["", " ", "\t"])


@settings(deadline=None)
@given(
    valid=st.lists(valid_lines),
    invalid=st.lists(invalid_lines),
    blank=st.lists(blank_lines),
    ending=st.sampled_from(["\n", "\r\n"]),
    data=st.data(),
)
def test_every_line_is_valid_invalid_or_blank(valid: Any, invalid: Any, blank: Any, ending: Any, data: Any) -> None:
    lines = data.draw(st.permutations([*valid, *invalid, *blank]))
    parsed = parse_ids(ending.join(lines).encode("utf-8", "ignore"))
    distinct = {line.lower() for line in valid} - {NO_ID}
    assert [format_id(item) for item in parsed.ids] == sorted(distinct)
    assert parsed.line_count == len(valid) + len(invalid)
    assert parsed.invalid_count == len(invalid) + sum(line == NO_ID for line in valid)


@pytest.mark.parametrize("ending", ["", "\n"])
def test_a_long_body_is_read_in_parts_without_losing_a_line(make_ids: MakeIds, ending: str) -> None:
    wanted = make_ids(70_000)
    lines = [*wanted[::-1], "rubbish", wanted[0].upper(), wanted[-1], NO_ID]
    parsed = parse_ids(("\n".join(lines) + ending).encode())
    assert len(parsed.ids) == len(set(parsed.ids)) == 70_000
    assert sorted(map(format_id, parsed.ids)) == wanted
    assert (parsed.line_count, parsed.invalid_count) == (70_004, 2)
