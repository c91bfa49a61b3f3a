"""
The mark at the end of a group's remark that says which task made it.

CreateGroup has no idempotency token. The mark takes its place: a group that has it was made by this very call, be it
by an earlier request, an earlier try of the task, or a worker that is gone. People read it in the console::

    [airflow my_dag:my_task scheduled__2026-11-20T00:00:00+00:00~3 #5d41402a.bc4b2a76b971]

The number after the ``~`` is the group's generation, which the first group has not; older versions of this provider
take it for a part of the run's id. Behind the ``#`` stand short digests: of the owner (who the group belongs to,
whatever run made it), of the call, and perhaps of the set of members. A digest of a few phone numbers can be undone by
trying, as the platform itself shows all but four of their digits: so what depends on members is keyed with the
connection's secret.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from airflow_provider_audiences.sync.run_date import RunDate

if TYPE_CHECKING:
    from airflow_provider_audiences.platforms.pai.group_spec import GroupSpec
    from airflow_provider_audiences.redaction import Secret

_OWNER_DIGITS = 8
_CALL_DIGITS = 12
_MEMBERS_DIGITS = 12
_ORIGIN_CHARACTERS = 60
_RUN_CHARACTERS = 40
_PATTERN = re.compile(
    r"\[airflow (?P<origin>[^\s\[\]#]+) (?P<run>[^\s\[\]#]+(?: map [0-9]+)?)"
    rf" #(?P<owner>[0-9a-f]{{{_OWNER_DIGITS}}})\.(?P<call>[0-9a-f]{{{_CALL_DIGITS}}})"
    rf"(?:\.(?P<members>[0-9a-f]{{{_MEMBERS_DIGITS}}}))?(?:@(?P<date>-?[0-9]+(?:[+-][0-9]+)?))?\]\s*\Z"
)
_MAP_INDEX = re.compile(r" map ([0-9]+)\Z")
_GENERATION = re.compile(r"~([0-9]{1,9})(?= map [0-9]+\Z|\Z)")
_DATE = re.compile(r"(-?[0-9]+)([+-][0-9]+)?")


@dataclass(frozen=True, kw_only=True)
class GroupMarker:
    """
    The mark of one group.

    :param origin: who made it, for people; shortened.
    :param run: in which run, for people; shortened.
    :param owner: digest of whom it belongs to: groups with the same owner and the same name belong together.
    :param call: digest of the call: a group with the same owner and call is the one that this call makes.
    :param members: digest of the set of members; empty if there is none.
    :param date: what the run is about: seconds since 1970, and how much later its data interval ends; or empty.
    :param generation: one more than the highest that its maker saw among the groups that were there; 0 if there was
        none. PAI tells creation times by the second: of two groups of one second, this tells which was there first.
    """

    origin: str
    run: str
    owner: str
    call: str
    members: str = ""
    date: str = ""
    generation: int = 0

    @property
    def text(self) -> str:
        """The mark as it stands in the remark."""
        members = f".{self.members}" if self.members else ""
        date = f"@{self.date}" if self.date else ""
        run, map_word, index = self.run.partition(" map ")
        generation = f"~{self.generation}" if self.generation else ""
        return f"[airflow {self.origin} {run}{generation}{map_word}{index} #{self.owner}.{self.call}{members}{date}]"

    @property
    def map_index(self) -> int:
        """The index of the mapped task that made the group; -1 for a task that is not mapped."""
        found = _MAP_INDEX.search(self.run)
        return int(found[1]) if found else -1

    @property
    def run_date(self) -> RunDate | None:
        """What the run that made the group is about; None if it has no logical date, or an older version made it."""
        found = _DATE.fullmatch(self.date)
        if found is None:
            return None
        logical = int(found[1])
        return RunDate(logical=logical, end=logical + int(found[2]) if found[2] else None)

    @classmethod
    def read(cls, remark: str) -> tuple[str, Self | None]:
        """
        Part a remark from its mark.

        :param remark: as the platform holds it.
        :return: the remark as the user wrote it, and the mark; None if there is none.
        """
        found = _PATTERN.search(remark)
        if found is None:
            return remark, None
        texts = {name: text or "" for name, text in found.groupdict().items()}
        generation = _GENERATION.search(texts["run"])
        texts["run"] = _GENERATION.sub("", texts["run"])
        return remark[: found.start()].rstrip(), cls(**texts, generation=int(generation[1]) if generation else 0)

    def same_call(self, other: GroupMarker | None) -> bool:
        """
        Return whether a group was made by the same call.

        :param other: the group's mark.
        """
        return other is not None and (other.owner, other.call) == (self.owner, self.call)

    def same_members(self, other: GroupMarker | None) -> bool:
        """
        Return whether a group is known to have been made of the same members.

        :param other: the group's mark.
        """
        return other is not None and bool(self.members) and other.members == self.members


def make_marker(
    *,
    owner: str,
    run: str,
    map_index: int,
    again: int,
    members: str,
    spec: GroupSpec,
    secret: Secret | None,
    run_date: RunDate | None = None,
) -> GroupMarker:
    """
    Return the mark of a call.

    :param owner: whom the group belongs to, normally ``my_dag:my_task``.
    :param run: the run's id.
    :param map_index: of a mapped task; negative without.
    :param again: another number is another call.
    :param members: fingerprint of the set of members; empty if there is none.
    :param spec: the group's parameters.
    :param secret: one that lasts as long as the connection; None if there is only one that changes.
    :param run_date: what the run is about; None if it has no logical date.
    """
    if secret is None and spec.text is not None:
        # Nothing to key with: neither numbers nor their fingerprint may show, not even in a digest.
        spec, members = replace(spec, text=f"{len(spec.numbers)} lines"), ""
    depends_on_members = spec.text is not None or bool(members)
    key = secret.reveal().encode() if secret is not None and depends_on_members else b""
    call = json.dumps([owner, run, map_index, again, members, spec.canonical().decode()]).encode()
    return GroupMarker(
        origin=_readable(owner, _ORIGIN_CHARACTERS),
        run=_readable(run, _RUN_CHARACTERS) + (f" map {map_index}" if map_index >= 0 else ""),
        owner=owner_digest(owner),
        call=_digest(key, b"call\n" + call, _CALL_DIGITS),
        members=_digest(key, b"members\n" + members.encode(), _MEMBERS_DIGITS) if members else "",
        date=_date_text(run_date),
    )


def _date_text(run_date: RunDate | None) -> str:
    """Return the logical date in seconds since 1970, and how much later the data interval ends."""
    if run_date is None:
        return ""
    logical = round(run_date.logical)
    return str(logical) if run_date.end is None else f"{logical}{round(run_date.end) - logical:+d}"


def owner_digest(owner: str) -> str:
    """
    Return the digest of an owner, as it is in marks.

    :param owner: normally ``my_dag:my_task``.
    """
    return _digest(b"", b"owner\n" + owner.encode(errors="surrogatepass"), _OWNER_DIGITS)


def _digest(key: bytes, message: bytes, digits: int) -> str:
    whole = hmac.new(key, message, hashlib.sha256) if key else hashlib.sha256(message)
    return whole.hexdigest()[:digits]


def _readable(text: str, most: int) -> str:
    return re.sub(r"[^A-Za-z0-9._:+-]", "_", text)[:most] or "_"
