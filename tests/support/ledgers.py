"""Small ledgers and sets whose members are small numbers: the last halves of their keys."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.members.keys import key_order
from airflow_provider_audiences.members.keys.key_set import KeySet, KeySetWriter
from airflow_provider_audiences.members.workspace import Workspace
from airflow_provider_audiences.sync.ledger import Ledger, LedgerRows, LedgerWriter

Times = tuple[int, int]
"""Until when a member is there for sure, and after when it is not there for sure."""


def ordered(keys: Any) -> list[int]:
    """Return small numbers, which are the last halves of keys, in the order of keys."""
    array = np.array([(0, key) for key in keys], np.uint64).reshape(len(keys), 2)
    return [int(low) for low in key_order.unique(array).keys[:, 1]]


def as_keys(keys: list[int]) -> NDArray[np.uint64]:
    return np.array([(0, key) for key in keys], np.uint64).reshape(len(keys), 2)


def key_set_of(workspace: Workspace, keys: Any) -> KeySet:
    writer = KeySetWriter(workspace.new_file())
    writer.add(as_keys(ordered(keys)))
    return writer.finish()


def rows_of(content: dict[int, Times]) -> LedgerRows:
    keys = ordered(content)
    earliest, latest = (np.array([content[key][column] for key in keys], np.uint32) for column in (0, 1))
    return LedgerRows(keys=as_keys(keys), earliest_expiry=earliest, latest_expiry=latest)


def ledger_of(workspace: Workspace, content: dict[int, Times]) -> Ledger:
    writer = LedgerWriter(workspace)
    writer.add(rows_of(content))
    return writer.finish()


def content_of(ledger: Ledger) -> dict[int, Times]:
    rows = ledger.rows(slice(0, ledger.keys.count))
    keys = [int(low) for low in rows.keys[:, 1]]
    assert keys == ordered(keys), "in order, and each once"
    return dict(zip(keys, zip(rows.earliest_expiry.tolist(), rows.latest_expiry.tolist(), strict=True), strict=True))
