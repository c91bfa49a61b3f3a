"""
Decoding and encoding of advertising IDs in arrays: between texts and 128-bit keys, without a Python loop.

The rule is :func:`~airflow_provider_audiences.members.identifiers.advertising_id.parse_advertising_id`. Texts in the
plain form, 36 characters with at most quotes and a carriage return around them, are decoded in arrays here; all other
texts are given to that function one by one.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from airflow_provider_audiences.members.columns import ParsedMembers, TextColumn
from airflow_provider_audiences.members.identifiers.advertising_id import LINE_LENGTH, IdCase, parse_advertising_id
from airflow_provider_audiences.members.keys.key_order import Keys
from airflow_provider_audiences.members.reject_reasons import RejectReason

_TEXT_LENGTH = LINE_LENGTH - 1
_DIGITS = 32
_STEP = 16_384
"""Number of texts decoded in one step: large enough for NumPy, small enough for the processor's cache."""

_HYPHENS = (8, 13, 18, 23)
_GROUPS = ("<u8", "<u4", "<u4", "<u4", "<u8", "<u4")  # the last group of 12 digits in two parts
_WITH_HYPHENS = (0, 9, 14, 19, 24, 32)
_WITHOUT_HYPHENS = (0, 8, 12, 16, 20, 28)
_NAMES = ("a", "b", "c", "d", "e", "f")


def _layout(offsets: tuple[int, ...], size: int) -> np.dtype[np.void]:
    return np.dtype({"names": _NAMES, "formats": _GROUPS, "offsets": offsets, "itemsize": size})


_TEXT = _layout(_WITH_HYPHENS, _TEXT_LENGTH)
_LINE = _layout(_WITH_HYPHENS, LINE_LENGTH)
_COMPACT = _layout(_WITHOUT_HYPHENS, _DIGITS)
_HYPHEN_TEXT = np.dtype(
    {"names": _NAMES[:4], "formats": ["u1"] * 4, "offsets": list(_HYPHENS), "itemsize": _TEXT_LENGTH}
)

_ZERO, _NINE, _CASE_BIT = np.uint8(ord("0")), np.uint8(9), np.uint8(ord("a") ^ ord("A"))
_LETTERS_AFTER_NINE = {"lower": np.uint8(ord("a") - ord("9") - 1), "upper": np.uint8(ord("A") - ord("9") - 1)}
_LOW_NIBBLE, _NIBBLE_BITS = np.uint8(0x0F), np.uint16(4)
_ALPHABET = np.uint8(6)
_LETTER_A = np.uint8(ord("a"))
_QUOTES = np.frombuffer(b"\"'", np.uint8)


def parse_advertising_ids(column: TextColumn) -> ParsedMembers:
    """
    Return the advertising IDs and the rejected rows of a column.

    :param column: a column with one text for each member.
    """
    starts, is_plain = _plain_texts(column)
    plain = np.flatnonzero(is_plain)
    keys, is_id = np.empty((len(plain), 2), np.uint64), np.empty(len(plain), np.bool_)
    for first in range(0, len(plain), _STEP):
        step = slice(first, first + _STEP)
        _decode(column.data, starts[plain[step]], keys[step], is_id[step])
    is_zero = is_id & ((keys[:, 0] | keys[:, 1]) == 0)
    found = {RejectReason.ZEROED: plain[is_zero].tolist()} if is_zero.any() else {}
    is_plain[plain[~is_id]] = False
    others = []
    for row in np.flatnonzero(~is_plain).tolist():
        key = parse_advertising_id(column.text(row))
        if isinstance(key, RejectReason):
            found.setdefault(key, []).append(row)
        else:
            others.append((int.from_bytes(key[:8]), int.from_bytes(key[8:])))
    is_member = is_id & ~is_zero
    if not is_member.all():
        keys = keys.compress(is_member, axis=0)
    if others:
        keys = np.concatenate((keys, np.array(others, np.uint64)))
    return ParsedMembers(
        keys=keys, rejected={reason: np.sort(np.array(rows, np.int64)) for reason, rows in found.items()}
    )


def advertising_id_lines(keys: Keys, *, id_case: IdCase = "lower") -> bytes:
    """
    Return advertising IDs in their written form, 37 bytes a line.

    :param keys: keys of the IDs, in the order in which they are written.
    :param id_case: ``lower`` (the default) or ``upper`` case of the hex letters.
    """
    lines = np.full((len(keys), LINE_LENGTH), ord("-"), np.uint8)
    lines[:, -1] = ord("\n")
    records = lines.view(_LINE).ravel()
    for first in range(0, len(keys), _STEP):
        step = slice(first, first + _STEP)
        pairs = keys[step].astype(">u8").view(np.uint8).astype("<u2")
        pairs = (pairs >> _NIBBLE_BITS) | ((pairs & np.uint16(_LOW_NIBBLE)) << np.uint16(8))
        nibbles = pairs.view(np.uint8)
        digits = nibbles + _ZERO
        digits += (nibbles > _NINE).view(np.uint8) * _LETTERS_AFTER_NINE[id_case]
        compact = digits.view(_COMPACT).ravel()
        for name in _NAMES:
            records[step][name] = compact[name]
    return lines.tobytes()


def _plain_texts(column: TextColumn) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return where each text begins after an opening quote, and whether it then has the length of an ID."""
    starts, lengths = column.starts, column.lengths
    is_plain = lengths == _TEXT_LENGTH
    if not is_plain.all():
        rest = np.flatnonzero(~is_plain & (lengths > 1))
        starts, inner = starts.copy(), lengths[rest]
        inner = inner - (column.data[starts[rest] + inner - 1] == ord("\r"))
        first, last = column.data[starts[rest]], column.data[starts[rest] + inner - 1]
        is_quoted = (inner == _TEXT_LENGTH + 2) & np.isin(first, _QUOTES) & np.isin(last, _QUOTES)
        starts[rest] += is_quoted
        is_plain[rest] = inner - 2 * is_quoted == _TEXT_LENGTH
    return starts, is_plain


class _Scratch(threading.local):
    """Buffers of one thread: allocating them again for each step would take longer than the decoding."""

    def __init__(self) -> None:
        self.compact = np.empty(_STEP, _COMPACT)
        self.nibbles = np.empty(_STEP * _DIGITS, np.uint8)
        self.work = np.empty(_STEP * _DIGITS, np.uint8)
        self.is_letter = np.empty(_STEP * _DIGITS, np.bool_)
        self.is_digit = np.empty(_STEP * _DIGITS, np.bool_)
        self.pairs = np.empty(_STEP * _DIGITS // 2, np.uint16)
        self.key_bytes = np.empty(_STEP * _DIGITS // 2, np.uint8)


_scratch = _Scratch()


def _decode(data: NDArray[np.uint8], starts: NDArray[np.int64], keys: Keys, is_id: NDArray[np.bool_]) -> None:
    """Decode texts of 36 bytes into ``keys``, and set ``is_id`` for those that are IDs."""
    count = len(starts)
    every_text = np.ndarray((len(data) - _TEXT_LENGTH + 1,), f"V{_TEXT_LENGTH}", data, strides=(1,))
    texts = every_text[starts]
    hyphens = texts.view(_HYPHEN_TEXT)
    np.equal(hyphens["a"], ord("-"), out=is_id)
    for name in _NAMES[1:4]:
        is_id &= hyphens[name] == ord("-")
    compact, groups = _scratch.compact[:count], texts.view(_TEXT)
    for name in _NAMES:
        compact[name] = groups[name]
    chars = compact.view(np.uint8)
    size = count * _DIGITS
    nibbles, work = _scratch.nibbles[:size], _scratch.work[:size]
    is_letter, is_digit = _scratch.is_letter[:size], _scratch.is_digit[:size]
    # Characters below '0' or 'a' wrap around to large numbers.
    np.less_equal(np.subtract(chars, _ZERO, out=work), _NINE, out=is_digit)
    np.bitwise_or(chars, _CASE_BIT, out=work)
    np.less(np.subtract(work, _LETTER_A, out=work), _ALPHABET, out=is_letter)
    np.logical_or(is_digit, is_letter, out=is_digit)
    if not is_digit.all():
        # There are few wrong digits: searching for them is faster than checking each text.
        is_id[np.flatnonzero(~is_digit) // _DIGITS] = False
    # A digit's value is its low nibble, a letter's nine more.
    np.bitwise_and(chars, _LOW_NIBBLE, out=nibbles)
    np.add(nibbles, np.multiply(is_letter.view(np.uint8), _NINE, out=work), out=nibbles)
    pairs, key_bytes = _scratch.pairs[: size // 2], _scratch.key_bytes[: size // 2]
    halves = nibbles.view("<u2")
    np.left_shift(halves, _NIBBLE_BITS, out=pairs)
    np.bitwise_or(pairs, np.right_shift(halves, np.uint16(8), out=halves), out=pairs)
    np.copyto(key_bytes, pairs, casting="unsafe")
    keys[:] = key_bytes.view(">u8").reshape(count, 2)
