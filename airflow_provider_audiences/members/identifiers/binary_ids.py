"""Advertising IDs in binary columns: 16 bytes each, as databases and Parquet files may store UUIDs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.exceptions import InvalidInputError
from airflow_provider_audiences.members.columns import ParsedMembers, TextColumn
from airflow_provider_audiences.members.identifiers.advertising_id_codec import parse_advertising_ids
from airflow_provider_audiences.members.key_width import KEY_BYTES
from airflow_provider_audiences.members.reject_reasons import RejectReason

_FIRST_PRINTABLE, _LAST_PRINTABLE = ord(" "), ord("~")


def parse_ids_with_binary(column: TextColumn) -> ParsedMembers:
    """
    Return the advertising IDs of a column: binary values of 16 bytes are UUIDs, all other values are text.

    If all binary values of 16 bytes consist of printable ASCII, they are text as well.

    :param column: a column with one value for each member.
    :raises InvalidInputError: some binary values are UUIDs, and others have another length.
    """
    if column.binary is None:
        return parse_advertising_ids(column)
    is_uuid = column.binary & (column.lengths == KEY_BYTES)
    uuids = np.flatnonzero(is_uuid)
    values = column.data[column.starts[uuids][:, np.newaxis] + np.arange(KEY_BYTES)]
    # If all these bytes are printable, they are text: random UUIDs have other bytes.
    if not len(uuids) or ((values >= _FIRST_PRINTABLE) & (values <= _LAST_PRINTABLE)).all():
        return parse_advertising_ids(column)
    if (column.binary & ~is_uuid & (column.lengths > 0)).any():
        raise InvalidInputError(
            "the source has binary values, some of 16 bytes and some of other lengths, which can't all be UUIDs: cast "
            "them to text in the query, or where the table is written; nothing was sent"
        )
    keys = values.view(">u8").astype(np.uint64)
    is_zero = (keys[:, 0] | keys[:, 1]) == 0
    texts = np.flatnonzero(~is_uuid)
    parsed = parse_advertising_ids(
        TextColumn(data=column.data, starts=column.starts[texts], lengths=column.lengths[texts], owner=column.owner)
    )
    rejected: dict[RejectReason, NDArray[np.int64]] = {reason: texts[rows] for reason, rows in parsed.rejected.items()}
    if is_zero.any():
        zeroed = np.concatenate((rejected.get(RejectReason.ZEROED, np.empty(0, np.int64)), uuids[is_zero]))
        rejected[RejectReason.ZEROED] = np.sort(zeroed)
    return ParsedMembers(keys=np.concatenate((keys[~is_zero], parsed.keys)), rejected=rejected)
