"""JSON files with a checksum: what was written is read, and whatever became of it otherwise is refused."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_audiences.exceptions import LedgerLostError
from airflow_provider_audiences.sync.state.sealing import sealed, unsealed

CONTENT = {"format": 3, "members": 12, "name": "Loyal \u00fc", "list": [1, None, "x"], "nested": {"b": 1, "a": 2.5}}
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
)


@given(content=st.dictionaries(st.text(max_size=5).filter(lambda key: key != "checksum"), values, max_size=4))
def test_what_was_sealed_is_read(content: dict[str, Any]) -> None:
    assert unsealed(sealed(content), where="f") == content


def read_or_none(text: bytes) -> dict[str, Any] | None:
    try:
        return unsealed(text, where="f")
    except LedgerLostError:
        return None


def test_no_changed_byte_changes_what_is_read() -> None:
    text = sealed(CONTENT)
    for place in range(len(text)):
        damaged = text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]
        assert read_or_none(damaged) in (None, CONTENT), "white space may change, and nothing else"


@pytest.mark.parametrize("length", range(0, len(sealed(CONTENT)), 7))
def test_a_file_that_was_cut_off_is_damaged(length: int) -> None:
    with pytest.raises(LedgerLostError, match="the store's file is damaged") as failure:
        unsealed(sealed(CONTENT)[:length], where="the store's file")
    assert failure.value.__cause__ is None


@pytest.mark.parametrize("text", [b"null", b"[]", b'"text"', b"{}", b"5", b'{"checksum": 5}', b"\xff\xfe", b'{"a": 1}'])
def test_other_json_is_damaged(text: bytes) -> None:
    with pytest.raises(LedgerLostError, match="f is damaged"):
        unsealed(text, where="f")


def test_plans_of_earlier_versions_have_a_longer_checksum() -> None:
    text = json.dumps(CONTENT, sort_keys=True).encode()
    stored = json.dumps({**CONTENT, "checksum": hashlib.sha256(text).hexdigest()}).encode()
    assert unsealed(stored, where="f") == CONTENT
