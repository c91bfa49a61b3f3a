"""
Markers: the text at the end of a group's remark by which a task finds the groups that it has made.

CreateGroup takes no idempotency key; the marker has one instead. A group with the key that a task would write was made
for that very task: by an earlier request, by an earlier try, or by a worker that was lost. In the console, people
read::

    [airflow my_dag:my_task scheduled__2026-11-20T00:00:00+00:00~3 #5d41402a.bc4b2a76b971]

The number after ``~`` is the group's sequence number; a first group has none. Older versions of this provider read it
as part of the run id. After ``#`` there are short digests: of the owner (the provenance key, the same for all runs), of
run and parameters (the idempotency key), and, if known, of the set of members. A digest of a few phone numbers could be
undone by trying all numbers, as the platform itself shows all but four digits; so digests that depend on members are
keyed with the connection's secret.
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
_KEY_DIGITS = 12
_CONTENT_DIGITS = 12
_ORIGIN_CHARACTERS = 60
_RUN_CHARACTERS = 40
_PATTERN = re.compile(
    r"\[airflow (?P<origin>[^\s\[\]#]+) (?P<run>[^\s\[\]#]+(?: map [0-9]+)?)"
    rf" #(?P<owner>[0-9a-f]{{{_OWNER_DIGITS}}})\.(?P<idempotency_key>[0-9a-f]{{{_KEY_DIGITS}}})"
    rf"(?:\.(?P<content>[0-9a-f]{{{_CONTENT_DIGITS}}}))?(?:@(?P<date>-?[0-9]+(?:[+-][0-9]+)?))?\]\s*\Z"
)
_MAP_INDEX = re.compile(r" map ([0-9]+)\Z")
_SEQUENCE = re.compile(r"~([0-9]{1,9})(?= map [0-9]+\Z|\Z)")
_DATE = re.compile(r"(-?[0-9]+)([+-][0-9]+)?")


@dataclass(frozen=True, kw_only=True)
class GroupMarker:
    """
    The marker of one group.

    :param origin: who has made the group, shortened, for people.
    :param run: id of the run that has made it, shortened, for people.
    :param owner: digest of the provenance key: groups with the same owner and name succeed each other.
    :param idempotency_key: digest of run, map index and the group's parameters: the same for all tries of a task, so a
        group with the same owner and key is the one that the task asks for.
    :param content: digest of the set of members; empty if it is not known.
    :param date: dates of the run: logical date in seconds since 1970, and how much later its data interval ends; or
        empty.
    :param sequence: one more than the highest sequence among the groups that its maker has seen; 0 if it has seen
        none. It tells the order of groups that were created within one second.
    """

    origin: str
    run: str
    owner: str
    idempotency_key: str
    content: str = ""
    date: str = ""
    sequence: int = 0

    @property
    def text(self) -> str:
        """The marker as it is written in the remark."""
        content = f".{self.content}" if self.content else ""
        date = f"@{self.date}" if self.date else ""
        run, map_word, index = self.run.partition(" map ")
        sequence = f"~{self.sequence}" if self.sequence else ""
        digests = f"{self.owner}.{self.idempotency_key}{content}"
        return f"[airflow {self.origin} {run}{sequence}{map_word}{index} #{digests}{date}]"

    @property
    def map_index(self) -> int:
        """Index of the mapped task that has made the group; -1 for a task that is not mapped."""
        found = _MAP_INDEX.search(self.run)
        return int(found[1]) if found else -1

    @property
    def run_date(self) -> RunDate | None:
        """
        Dates of the run that has made the group; None if it has no logical date, or an older version has made the
        group.
        """
        found = _DATE.fullmatch(self.date)
        if found is None:
            return None
        logical = int(found[1])
        return RunDate(logical=logical, end=logical + int(found[2]) if found[2] else None)

    @classmethod
    def read(cls, remark: str) -> tuple[str, Self | None]:
        """
        Split a remark into the user's text and the marker.

        :param remark: remark as the platform shows it.
        :return: the user's text; and the marker, None if there is none.
        """
        found = _PATTERN.search(remark)
        if found is None:
            return remark, None
        texts = {name: text or "" for name, text in found.groupdict().items()}
        sequence = _SEQUENCE.search(texts["run"])
        texts["run"] = _SEQUENCE.sub("", texts["run"])
        return remark[: found.start()].rstrip(), cls(**texts, sequence=int(sequence[1]) if sequence else 0)

    def same_key(self, other: GroupMarker | None) -> bool:
        """
        Return whether another marker has the same owner and idempotency key.

        :param other: marker of a group; None if the group has none.
        """
        return other is not None and (other.owner, other.idempotency_key) == (self.owner, self.idempotency_key)

    def same_content(self, other: GroupMarker | None) -> bool:
        """
        Return whether another marker is known to be of the same set of members.

        :param other: marker of a group; None if the group has none.
        """
        return other is not None and bool(self.content) and other.content == self.content


def make_marker(
    *,
    provenance: str,
    run: str,
    map_index: int,
    clear_count: int,
    fingerprint: str,
    spec: GroupSpec,
    secret: Secret | None,
    run_date: RunDate | None = None,
) -> GroupMarker:
    """
    Return the marker of the group that a task asks for.

    :param provenance: key by which a task finds its groups, normally ``my_dag:my_task``.
    :param run: id of the run.
    :param map_index: index of the mapped task; negative for a task that is not mapped.
    :param clear_count: how often the task was cleared in this run; each clearing has an idempotency key of its own.
    :param fingerprint: fingerprint of the set of members; empty if it is not known.
    :param spec: parameters of the group.
    :param secret: secret that does not change as long as the connection does not; None if all secrets expire.
    :param run_date: dates of the run; None if it has no logical date.
    """
    if secret is None and spec.text is not None:
        # Without a secret for the digests, they must not depend on numbers or their fingerprint.
        spec, fingerprint = replace(spec, text=f"{len(spec.numbers)} lines"), ""
    depends_on_members = spec.text is not None or bool(fingerprint)
    key = secret.reveal().encode() if secret is not None and depends_on_members else b""
    request = json.dumps([provenance, run, map_index, clear_count, fingerprint, spec.canonical().decode()]).encode()
    return GroupMarker(
        origin=_readable(provenance, _ORIGIN_CHARACTERS),
        run=_readable(run, _RUN_CHARACTERS) + (f" map {map_index}" if map_index >= 0 else ""),
        owner=owner_digest(provenance),
        idempotency_key=_digest(key, b"call\n" + request, _KEY_DIGITS),
        content=_digest(key, b"members\n" + fingerprint.encode(), _CONTENT_DIGITS) if fingerprint else "",
        date=_date_text(run_date),
    )


def _date_text(run_date: RunDate | None) -> str:
    """Return the logical date in seconds since 1970, and after it how much later the data interval ends."""
    if run_date is None:
        return ""
    logical = round(run_date.logical)
    return str(logical) if run_date.end is None else f"{logical}{round(run_date.end) - logical:+d}"


def owner_digest(owner: str) -> str:
    """
    Return the digest of a provenance key, as markers have it.

    :param owner: provenance key, normally ``my_dag:my_task``.
    """
    return _digest(b"", b"owner\n" + owner.encode(errors="surrogatepass"), _OWNER_DIGITS)


def _digest(key: bytes, message: bytes, digits: int) -> str:
    whole = hmac.new(key, message, hashlib.sha256) if key else hashlib.sha256(message)
    return whole.hexdigest()[:digits]


def _readable(text: str, most: int) -> str:
    return re.sub(r"[^A-Za-z0-9._:+-]", "_", text)[:most] or "_"
