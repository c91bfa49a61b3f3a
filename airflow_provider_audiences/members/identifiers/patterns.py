"""
How members look in texts that are no source: arguments of tasks, queries, replies and errors of servers and libraries.

Each identifier kind has its patterns here, so that its members are masked wherever they may turn up.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from uuid import UUID


class MemberPatterns(ABC):
    """
    The patterns of one identifier kind. All patterns expect text that has passed :func:`~.members.characters.plain`.

    ``in_text`` finds a member in a text. ``in_server_replies`` find a member in a server's text, which may repeat it in
    another spelling. ``may_be_number`` says whether a member may also come as a number, such as from a database.
    ``types`` are types whose values are always members.
    """

    in_text: re.Pattern[str]
    in_server_replies: tuple[re.Pattern[str], ...]
    may_be_number: bool = False
    types: tuple[type, ...] = ()

    @abstractmethod
    def are_members(self, text: str, *, looks_like_path: bool) -> bool:
        """
        Return whether a text that may be a path is members instead; a path, too, may have digits or a UUID in it.

        :param text: the text of an argument.
        :param looks_like_path: whether the text begins as a path or an address.
        """


class _AdvertisingIdPatterns(MemberPatterns):
    _ID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
    in_text = re.compile(_ID)
    types = (UUID,)
    # With or without hyphens.
    in_server_replies = (in_text, re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{32}(?![0-9A-Za-z])"))
    # An ID between separators of a list; in a path, a UUID may be the name of a folder or file.
    _listed = re.compile(rf"(?:^|[\s,;|'\"\[\](){{}}\ufeff]){_ID}(?=$|[\s,;|'\"\[\](){{}}])")

    def are_members(self, text: str, *, looks_like_path: bool) -> bool:
        if self._listed.search(text):
            return True
        # Several IDs are members, and so is a single ID without any slash or dot.
        ids = self.in_text.findall(text)
        return not looks_like_path and (len(ids) > 1 or (len(ids) == 1 and not re.search(r"[/.]", text)))


class _PhoneNumberPatterns(MemberPatterns):
    # Letters may stand next to a number: a server that quotes several lines may write a line break as "\\n".
    # Dates are excluded.
    in_text = re.compile(r"(?<![0-9])(?!20[0-9]{2}-[0-9]{2}-[0-9]{2}(?![0-9]))(?:\+|00)?(?:[0-9][ ()-]{0,2}){8,}[0-9]")
    # Dates and IPv4 addresses are excluded, although their digits are separated as in a phone number.
    _NO_NUMBER = (
        r"(?!20[0-9]{2}[-./][0-9]{2}[-./][0-9]{2}(?![0-9]))"
        r"(?!(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?:\.|(?![0-9.]))){4}(?![0-9]))"
    )
    # With any separators that people put between digits.
    in_server_replies = (
        re.compile(
            rf"(?<![0-9])(?<![0-9]\.)\(?{_NO_NUMBER}(?:\+|00)?(?:[0-9][ ()./_\u00a0\u2010-\u2015-]{{0,3}}){{8,}}[0-9]"
        ),
    )
    may_be_number = True

    def are_members(self, text: str, *, looks_like_path: bool) -> bool:
        if looks_like_path or not self.in_text.search(text):
            return False
        # Slashes and dots alone make no path: spreadsheets write 13900001111.0, and people put slashes between
        # numbers. A path also has letters in it.
        return not (re.search(r"[/.]", text) and re.search(r"[^\W\d_]", text))


ADVERTISING_ID_PATTERNS: MemberPatterns = _AdvertisingIdPatterns()
PHONE_NUMBER_PATTERNS: MemberPatterns = _PhoneNumberPatterns()

_all: list[MemberPatterns] = []
_never_only_digits: list[MemberPatterns] = []
_in_server_replies: list[re.Pattern[str]] = []

ALL_PATTERNS: Sequence[MemberPatterns] = _all
"""The patterns of all identifier kinds; those of other packages too, once they are registered."""

NEVER_ONLY_DIGITS: Sequence[MemberPatterns] = _never_only_digits
"""The patterns of the kinds whose members are never digits only, as the name of a file or folder may be."""

ALL_IN_SERVER_REPLIES: Sequence[re.Pattern[str]] = _in_server_replies
"""Members of any kind, as a database or a library may repeat them in an error about a source."""


def register_patterns(patterns: MemberPatterns) -> None:
    """
    Let members of a kind be recognised from now on: in arguments and queries, and in errors of databases.

    A kind of another package calls this where it is defined, so that its members are masked like all others.

    :param patterns: the kind's patterns.
    """
    if patterns in _all:
        return
    _all.append(patterns)
    _in_server_replies.extend(patterns.in_server_replies)
    if not patterns.may_be_number:
        _never_only_digits.append(patterns)


for _own in (ADVERTISING_ID_PATTERNS, PHONE_NUMBER_PATTERNS):
    register_patterns(_own)
