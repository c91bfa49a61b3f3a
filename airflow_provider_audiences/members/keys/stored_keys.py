"""
Keys that are read straight from the Parquet file that has them, so that no copy of them is written.

DuckDB writes a row group's keys as they are, in one page without compression. Such a page ends with the keys, one after
the other, so they are read by their place in the file, in any order and by any thread. What is read that way is only
trusted once all keys have passed a fingerprint that was computed when they were written.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import IO

import numpy as np

from airflow_provider_audiences.exceptions import StateUnavailableError
from airflow_provider_audiences.members.failures import words_of
from airflow_provider_audiences.members.key_width import KEY_BYTES, WORD_BYTES
from airflow_provider_audiences.members.keys.key_order import Keys

_NUMBER = rb"\x15([\x80-\xFF]{0,4}[\x00-\x7F])"  # of 32 bits, in the field that follows the last one
_HEADER = re.compile(_NUMBER * 3, re.DOTALL)
"""The first fields of a page's header, in Thrift's compact protocol."""
_HEADER_BYTES = 3 * (1 + 5)
_DATA_PAGE = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGroup:
    """
    A row group of a Parquet file whose keys have the encoding PLAIN, as the file's metadata describes it.

    :param rows: number of its rows.
    :param page: offset of the first page of its keys.
    :param end: offset after the last page of its keys.
    """

    rows: int
    page: int
    end: int


class StoredKeys:
    """
    The first keys of a Parquet file, of 16 bytes each.

    The file may be deleted meanwhile: it is there as long as it is open. It must not be changed, and an error says so
    if it was.

    :param file: the open file.
    :param where: address of the file, for messages.
    :param groups: the row groups. The first one whose keys are not there as they are ends the keys that can be read.
    """

    def __init__(self, file: IO[bytes], *, where: str, groups: Iterable[RowGroup]) -> None:
        self._file = file
        self._where = where
        self._version = self._version_now()
        sizes, self._offsets = [0], list[int]()
        for group in groups:
            if not self._has_plain_keys(group):
                break
            sizes.append(group.rows)
            self._offsets.append(group.end - group.rows * KEY_BYTES)
        self._starts = list(accumulate(sizes))

    @property
    def count(self) -> int:
        """Number of keys that can be read."""
        return self._starts[-1]

    def read(self, first: int, count: int) -> Keys:
        """
        Return some of the keys. Any thread may call it, at any time.

        :param first: index of the first key, counted from 0.
        :param count: number of keys, all of which must be there.
        :raises StateUnavailableError: the disk failed, or the file was changed since it was opened.
        """
        pieces = []
        group, end = bisect_right(self._starts, first) - 1, first + count
        while first < end:
            rows = min(end, self._starts[group + 1]) - first
            offset = self._offsets[group] + (first - self._starts[group]) * KEY_BYTES
            pieces.append(self._bytes(offset, rows * KEY_BYTES))
            first, group = first + rows, group + 1
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(data) != count * KEY_BYTES or self._version_now() != self._version:
            raise StateUnavailableError(f"{self._where} was changed while it was in use", advice="Try again.")
        return np.frombuffer(data, ">u8").astype(np.uint64).reshape(-1, KEY_BYTES // WORD_BYTES)

    def _bytes(self, offset: int, size: int) -> bytes:
        """Return bytes of the file; fewer than asked for if it ends before."""
        try:
            return os.pread(self._file.fileno(), size, offset)
        except OSError as error:
            raise StateUnavailableError(f"{self._where}: {words_of(error)}") from None

    def _version_now(self) -> tuple[int, int]:
        """Return what a write to the file changes; its deletion does not."""
        try:
            status = os.fstat(self._file.fileno())
        except OSError as error:
            raise StateUnavailableError(f"{self._where}: {words_of(error)}") from None
        return status.st_mtime_ns, status.st_size

    def _has_plain_keys(self, group: RowGroup) -> bool:
        """Return whether all keys of a row group are in one page: its end is then that of the group's keys."""
        _, file_bytes = self._version
        if not 0 <= group.page < group.end <= file_bytes or group.rows < 1:
            return False
        kind, size, stored_size = _page_header(self._bytes(group.page, _HEADER_BYTES))
        keys_bytes = group.rows * KEY_BYTES
        return kind == _DATA_PAGE and size == stored_size and keys_bytes <= size <= group.end - group.page


def _page_header(data: bytes) -> tuple[int, int, int]:
    """
    Return a page's kind, and its size without and with compression; all are -1 if the data begin otherwise.

    :param data: the first bytes of the page.
    """
    found = _HEADER.match(data)
    kind, size, stored_size = (_number_of(digits) for digits in found.groups()) if found else (-1, -1, -1)
    return kind, size, stored_size


def _number_of(digits: bytes) -> int:
    """Return a number of Thrift's compact protocol, with seven bits a byte; the lowest bit is the sign."""
    value = sum((digit & 0x7F) << 7 * place for place, digit in enumerate(digits))
    return (value >> 1) ^ -(value & 1)
