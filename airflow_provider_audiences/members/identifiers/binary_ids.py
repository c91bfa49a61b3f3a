"""Advertising IDs as 16 bytes each: columns of UUIDs, and binary columns as databases and files may store UUIDs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.columns import ParsedMembers, TextColumn
from airflow_provider_audiences.members.identifiers.advertising_id_codec import parse_advertising_ids
from airflow_provider_audiences.members.key_width import KEY_BYTES
from airflow_provider_audiences.members.keys.key_order import Keys
from airflow_provider_audiences.members.reject_reasons import RejectReason

_FIRST_PRINTABLE, _LAST_PRINTABLE = ord(" "), ord("~")


def parse_ids_with_binary(column: TextColumn) -> ParsedMembers:
    """
    Return the advertising IDs of a column: binary values of 16 bytes are UUIDs, all other values are text.

    If all binary values of 16 bytes consist of printable ASCII, they are text as well. In a column of UUIDs, all are
    UUIDs.

    :param column: a column with one value for each member.
    :raises InvalidInputError: some binary values are UUIDs, and others have another length.
    """
    if column.uuids:
        return _parse_uuids(column)
    if column.binary is None:
        return parse_advertising_ids(column)
    is_uuid = column.binary & (column.lengths == KEY_BYTES)
    uuids = np.flatnonzero(is_uuid)
    values = _values(column, uuids)
    # If all these bytes are printable, they are text: random UUIDs have other bytes.
    if not len(uuids) or ((values >= _FIRST_PRINTABLE) & (values <= _LAST_PRINTABLE)).all():
        return parse_advertising_ids(column)
    if (column.binary & ~is_uuid & (column.lengths > 0)).any():
        raise InvalidInputError(
            "the source has binary values, some of 16 bytes and some of other lengths, which can't all be UUIDs: cast "
            "them to text in the query, or where the table is written; nothing was sent"
        )
    texts = np.flatnonzero(~is_uuid)
    parsed = parse_advertising_ids(
        TextColumn(data=column.data, starts=column.starts[texts], lengths=column.lengths[texts], owner=column.owner)
    )
    rejected: dict[RejectReason, NDArray[np.int64]] = {reason: texts[rows] for reason, rows in parsed.rejected.items()}
    keys, zeroed = _keys_of(values, uuids)
    if len(zeroed):
        zeroed = np.concatenate((rejected.get(RejectReason.ZEROED, np.empty(0, np.int64)), zeroed))
        rejected[RejectReason.ZEROED] = np.sort(zeroed)
    return ParsedMembers(keys=np.concatenate((keys, parsed.keys)), rejected=rejected)


def _parse_uuids(column: TextColumn) -> ParsedMembers:
    uuids = np.flatnonzero(column.lengths)
    keys, zeroed = _keys_of(_values(column, uuids), uuids)
    found = {RejectReason.ZEROED: zeroed, RejectReason.BLANK: np.flatnonzero(column.lengths == 0)}
    return ParsedMembers(keys=keys, rejected={reason: rows for reason, rows in found.items() if len(rows)})


def _values(column: TextColumn, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the 16 bytes of each of some rows."""
    if not len(rows):
        return np.empty((0, KEY_BYTES), np.uint8)
    every_value = np.ndarray((len(column.data) - KEY_BYTES + 1,), f"V{KEY_BYTES}", column.data, strides=(1,))
    return every_value[column.starts[rows]].view(np.uint8).reshape(-1, KEY_BYTES)


def _keys_of(values: NDArray[np.uint8], rows: NDArray[np.int64]) -> tuple[Keys, NDArray[np.int64]]:
    """Return the keys of UUIDs, and the rows of those that are zero and have no key."""
    keys = values.view(">u8").astype(np.uint64)
    is_zero = (keys[:, 0] | keys[:, 1]) == 0
    return (keys[~is_zero], rows[is_zero]) if is_zero.any() else (keys, rows[:0])
