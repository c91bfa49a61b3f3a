"""
The identifier kinds: advertising IDs and phone numbers, each with a rule of its own.

A kind parses texts into keys, and writes keys as lines. Staging, sets and batches are the same for all kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Protocol, get_args

import numpy as np

from airflow_provider_audiences.members.columns import ParsedMembers, TextColumn
from airflow_provider_audiences.members.identifiers.advertising_id import LINE_LENGTH, IdCase
from airflow_provider_audiences.members.identifiers.advertising_id_codec import advertising_id_lines
from airflow_provider_audiences.members.identifiers.binary_ids import parse_ids_with_binary
from airflow_provider_audiences.members.identifiers.patterns import (
    ADVERTISING_ID_PATTERNS,
    PHONE_NUMBER_PATTERNS,
    MemberPatterns,
)
from airflow_provider_audiences.members.identifiers.phone_number import (
    MAX_PHONE_NUMBER_CHARACTERS,
    PHONE_FORMAT_RULE,
    PhoneFormat,
    parse_phone_number,
)
from airflow_provider_audiences.members.keys.key_order import KEY_BYTES, Keys
from airflow_provider_audiences.members.reject_reasons import RejectReason
from airflow_provider_audiences.validation import Checked, Rules, one_of


class IdentifierKind(Protocol):
    """
    The interface of an identifier kind.

    :ivar name: what a member is, for messages, such as ``advertising ID``.
    :ivar plural: plural of the name.
    :ivar rule: what is one, in words for messages.
    :ivar patterns: how members look in other texts, to mask them there.
    :ivar line_bytes: greatest length of a line in bytes, including its newline.
    :ivar key_bytes: bytes of a key: a multiple of eight, and at least 16.
    :ivar column: name of the column of members in stored tables.
    """

    name: str
    plural: str
    rule: str
    patterns: MemberPatterns
    line_bytes: int
    key_bytes: int
    column: str

    def parse(self, column: TextColumn) -> ParsedMembers:
        """Return the members and the rejected rows of a column."""

    def lines(self, keys: Keys) -> bytes:
        """Return members in their written form, one a line."""


@dataclass(frozen=True, kw_only=True)
class AdvertisingIds(Checked):
    """
    The kind of advertising IDs; 37 bytes a line.

    :param id_case: case in which they are written.
    :raises InvalidInputError: there is no such case.
    """

    RULES: ClassVar[Rules] = {"id_case": partial(one_of, choices=get_args(IdCase))}

    id_case: IdCase = "lower"

    name = "advertising ID"
    plural = "advertising IDs"
    rule = "8-4-4-4-12 hex digits"
    patterns = ADVERTISING_ID_PATTERNS
    line_bytes = LINE_LENGTH
    key_bytes = KEY_BYTES
    column = "advertising_id"

    def parse(self, column: TextColumn) -> ParsedMembers:
        """
        Return the advertising IDs of a column.

        :param column: a column of texts, or of binary UUIDs of 16 bytes.
        """
        return parse_ids_with_binary(column)

    def lines(self, keys: Keys) -> bytes:
        """
        Return advertising IDs, one a line.

        :param keys: keys of the IDs, in the order in which they are written.
        """
        return advertising_id_lines(keys, id_case=self.id_case)


@dataclass(frozen=True, kw_only=True)
class PhoneNumbers(Checked):
    """
    The kind of phone numbers, in the normal form of :mod:`.phone_number`; at most 17 bytes a line.

    :param phone_format: ``cn_mobile``, mobile numbers of mainland China, or ``any``, of any country.
    :raises InvalidInputError: there is no such format.
    """

    RULES: ClassVar[Rules] = {"phone_format": PHONE_FORMAT_RULE}

    phone_format: PhoneFormat = "cn_mobile"

    name = "phone number"
    plural = "phone numbers"
    rule = "11 digits that begin with 13 to 19, for mainland China; 5 to 15 digits with phone_format='any'"
    patterns = PHONE_NUMBER_PATTERNS
    line_bytes = MAX_PHONE_NUMBER_CHARACTERS + 1
    key_bytes = KEY_BYTES
    column = "phone_number"

    def parse(self, column: TextColumn) -> ParsedMembers:
        """
        Return the phone numbers of a column.

        :param column: a column with one text for each member.
        """
        numbers = []
        rejected: dict[RejectReason, list[int]] = {}
        for row in range(len(column)):
            number = parse_phone_number(column.text(row), phone_format=self.phone_format)
            if isinstance(number, RejectReason):
                rejected.setdefault(number, []).append(row)
            else:
                numbers.append(number.encode())
        return ParsedMembers(
            keys=np.array(numbers, f"S{KEY_BYTES}").view(np.uint64).reshape(len(numbers), 2),
            rejected={reason: np.array(rows, np.int64) for reason, rows in rejected.items()},
        )

    def lines(self, keys: Keys) -> bytes:
        """
        Return phone numbers, one a line.

        :param keys: keys of the numbers, in the order in which they are written.
        """
        return b"".join(number + b"\n" for number in keys.view(f"S{KEY_BYTES}").ravel().tolist())
