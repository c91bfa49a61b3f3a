"""Opt-outs: read more strictly than any source, and taken out of a set."""

import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.kinds import ID_KIND

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.identifiers.kinds import PhoneNumbers
from airflow_provider_audiences.members.opt_outs import stage_opt_outs, without_opt_outs
from airflow_provider_audiences.members.reading.inputs import ValuesInput
from airflow_provider_audiences.members.staging import StagingRules, stage

IDS = [str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))) for number in range(40)]


def values(*items: object) -> ValuesInput:
    return ValuesInput(chunks=[list(items)])


@pytest.mark.parametrize("bad", ["x", IDS[0][:-1], IDS[0].replace("-", ""), f"{{{IDS[0]}}}", "null", "idfa"])
def test_a_text_that_can_not_be_read_fails(bad: str) -> None:
    said = r"^3 texts of suppress are not advertising IDs .* each may be a person who would stay: source, item 2: "
    with (
        pytest.raises(InvalidInputError, match=said) as failure,
        stage_opt_outs(values(IDS[1], bad, bad, bad), on_malformed="fail", identifier_kind=ID_KIND),
    ):
        pass
    assert IDS[0] not in str(failure.value)
    with stage_opt_outs(values(IDS[1], bad, bad, bad), on_malformed="drop", identifier_kind=ID_KIND) as staged:
        assert (staged.members, staged.malformed) == (1, 3)


@pytest.mark.parametrize("on_malformed", ["fail", "drop"])
def test_a_list_of_something_else_fails(on_malformed: str) -> None:
    for kind, name in ((ID_KIND, "an advertising ID"), (PhoneNumbers(), "a phone number")):
        staging = stage_opt_outs(values("a", "b"), on_malformed=on_malformed, identifier_kind=kind)
        with pytest.raises(InvalidInputError, match=rf"^none of the texts of suppress is {name} \(2 are"), staging:
            pass


@pytest.mark.parametrize("source", [values(), values("", None, " "), values("00000000-0000-0000-0000-000000000000")])
def test_nobody_may_have_opted_out(source: ValuesInput) -> None:
    with stage_opt_outs(source, on_malformed="fail", identifier_kind=ID_KIND) as staged:
        assert staged.members == 0


def test_too_many_that_are_dropped_fail() -> None:
    with (
        pytest.raises(InvalidInputError, match="1 of 3 texts of suppress"),
        stage_opt_outs(values(*IDS[:2], "x"), on_malformed="drop", max_malformed_ratio=0.3, identifier_kind=ID_KIND),
    ):
        pass


@pytest.mark.parametrize("value", ["", "None", None, "ignore"])
def test_it_is_strict_or_not(value: Any) -> None:
    staging = stage_opt_outs(values(), on_malformed=value, identifier_kind=ID_KIND)
    with pytest.raises(InvalidInputError, match=r"^suppress_on_malformed must be 'fail' or 'drop'"), staging:
        pass


@settings(deadline=None, max_examples=50)
@given(source=st.sets(st.sampled_from(IDS)), opted_out=st.sets(st.sampled_from(IDS)))
def test_who_is_left(source: set[str], opted_out: set[str]) -> None:
    with (
        stage(values(*source), rules=StagingRules(), identifier_kind=ID_KIND) as staged,
        stage_opt_outs(values(*opted_out), on_malformed="fail", identifier_kind=ID_KIND) as suppressed,
        without_opt_outs(staged, suppressed) as left,
    ):
        assert set(left.lines(0, 100).decode().split()) == source - opted_out
        assert (left.members, left.keys.count) == (len(source - opted_out),) * 2
        assert (staged.members, left.malformed) == (len(source), 0)
