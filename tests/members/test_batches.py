import copy
import pickle
from typing import Any

import pytest
from support.fixtures import AsBody, MakeIds
from support.frames import reprs
from support.kinds import batch_of


@pytest.mark.parametrize("count", [0, 1, 1_234])
def test_lines_are_all_members_each_time(make_ids: MakeIds, as_body: AsBody, count: int) -> None:
    ids = make_ids(count)
    batch = batch_of(ids)
    assert len(batch) == count
    assert batch.lines().reveal() == batch.lines().reveal() == as_body(ids)
    assert batch.texts() == ids


def test_shows_no_member(make_ids: MakeIds) -> None:
    (member,) = make_ids(1)
    batch = batch_of([member])
    shown = " ".join([*reprs(batch), f"{batch}", f"{batch!s:>40}"])
    assert "<1 member, not shown>" in shown
    assert member not in shown
    assert str(int(member[:8], 16)) not in shown


@pytest.mark.parametrize("act", [pickle.dumps, copy.copy, copy.deepcopy])
def test_is_never_pickled(make_ids: MakeIds, act: Any) -> None:
    with pytest.raises(TypeError, match="never pickled"):
        act(batch_of(make_ids(1)))
