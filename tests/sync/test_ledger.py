"""The ledger in files: any part of its rows, and a fingerprint of its content."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.ledgers import Times, content_of, key_set_of, ledger_of, ordered, rows_of

from airflow_provider_audiences.members.keys.key_set import fingerprint_of
from airflow_provider_audiences.members.workspace import StagingSettings, open_workspace
from airflow_provider_audiences.sync.ledger import LATEST_UNKNOWN, LedgerRows, LedgerWriter


@pytest.fixture(scope="module")
def settings_of_work(tmp_path_factory: pytest.TempPathFactory) -> StagingSettings:
    return StagingSettings(temp_folder=tmp_path_factory.mktemp("work"))


contents = st.dictionaries(
    st.integers(0, 99), st.tuples(st.integers(0, LATEST_UNKNOWN), st.integers(0, LATEST_UNKNOWN)), max_size=30
)


@settings(deadline=None, max_examples=100)
@given(content=contents, other=contents, cuts=st.lists(st.integers(0, 30), max_size=4))
@example(content={1: (2, 3)}, other={1: (3, 2)}, cuts=[])
@example(content={1: (2, 3), 2: (4, 5)}, other={1: (4, 5), 2: (2, 3)}, cuts=[])
@example(content={}, other={0: (0, 0)}, cuts=[])
def test_fingerprints(
    content: dict[int, Times], other: dict[int, Times], cuts: list[int], settings_of_work: StagingSettings
) -> None:
    """The same for the same content, in however many parts it was written; another for any other."""
    with open_workspace(settings_of_work) as workspace:
        ledger = ledger_of(workspace, content)
        rows, writer = rows_of(content), LedgerWriter(workspace)
        places = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
        for first, end in pairwise(places):
            part = slice(first, end)
            writer.add(
                LedgerRows(
                    keys=rows.keys[part],
                    earliest_expiry=rows.earliest_expiry[part],
                    latest_expiry=rows.latest_expiry[part],
                )
            )
        again = writer.finish()
        assert content_of(again) == content_of(ledger) == content
        assert again.fingerprint == ledger.fingerprint
        assert (ledger_of(workspace, other).fingerprint == ledger.fingerprint) == (other == content)
        one, two = key_set_of(workspace, content), key_set_of(workspace, other)
        assert fingerprint_of(key_set_of(workspace, dict(reversed(content.items())))) == fingerprint_of(one)
        assert (fingerprint_of(one) == fingerprint_of(two)) == (content.keys() == other.keys())


def test_any_part_of_the_rows(settings_of_work: StagingSettings) -> None:
    content = {number: (number, number + 100) for number in range(50)}
    with open_workspace(settings_of_work) as workspace:
        ledger = ledger_of(workspace, content)
        keys = ordered(content)
        for first, end in ((0, 0), (0, 50), (7, 9), (49, 50), (50, 50)):
            rows = ledger.rows(slice(first, end))
            assert [int(low) for low in rows.keys[:, 1]] == keys[first:end]
            assert rows.earliest_expiry.tolist() == keys[first:end]
            assert rows.latest_expiry.tolist() == [key + 100 for key in keys[first:end]]
