"""
The members of one audience: a set of advertising IDs, each with the time when it expires.

An in-memory SQLite table for each audience keeps ten million members in well under 100 bytes each; dicts and sets of
Python objects need more. Which members are live is computed from the clock when somebody asks. Expired members are not
deleted, so moving the clock back brings them back.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

ID_BYTES = 16
PART_BYTES = 2**20
# No audience lives this long; keeps huge TTLs inside SQLite's 64-bit integers.
LATEST_EXPIRY_MS = 2**62
NO_ID = bytes(ID_BYTES)

_HEX_ID = rb"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
# With MULTILINE on bytes, ^ and $ know "\n" only, which is what ends a line here.
_VALID_LINE = re.compile(rb"^(" + _HEX_ID + rb")\r?$", re.MULTILINE)
_FILLED_LINE = re.compile(rb"\S[^\n]*")

# One statement cuts the packed IDs apart, outside the interpreter and without its lock: twice as fast as a
# statement each. WHERE true keeps the parser from taking ON for a join condition.
_INSERT = """
WITH RECURSIVE piece (first) AS (
    SELECT 1 WHERE :length > 0 UNION ALL SELECT first + 16 FROM piece WHERE first + 16 <= :length
)
INSERT INTO member SELECT substr(:packed, first, 16), :expires_ms FROM piece WHERE true
ON CONFLICT (id) DO UPDATE SET expires_ms = excluded.expires_ms
"""


@dataclass(frozen=True, kw_only=True)
class ParsedIds:
    """
    The IDs of one request body.

    :param ids: each valid ID once, as 16 bytes, in long sorted runs.
    :param line_count: number of lines that are not blank.
    :param invalid_count: number of lines without a valid ID; the all-zero ID is invalid.
    """

    ids: list[bytes]
    line_count: int
    invalid_count: int


def parse_ids(body: bytes) -> ParsedIds:
    """
    Read a body with one advertising ID a line.

    A valid ID is exactly 8-4-4-4-12 ASCII hex digits in either case. Blank lines don't count at all.

    :param body: body as it was received, with lines ended by LF or CRLF.
    """
    ids: list[bytes] = []
    seen: set[bytes] = set()
    line_count = invalid_count = 0
    for part in _parts(body):
        valid_lines = _VALID_LINE.findall(part)
        part_line_count = sum(1 for _ in _FILLED_LINE.finditer(part))
        packed = bytes.fromhex(b"".join(valid_lines).replace(b"-", b"").decode("ascii"))
        found = {packed[start : start + ID_BYTES] for start in range(0, len(packed), ID_BYTES)}
        line_count += part_line_count
        invalid_count += part_line_count - len(valid_lines)
        if NO_ID in found:
            found.discard(NO_ID)
            invalid_count += sum(1 for line in valid_lines if not line.strip(b"0-"))
        found -= seen
        seen |= found
        # SQLite's B-tree takes sorted keys much faster than shuffled ones.
        ids += sorted(found)
    return ParsedIds(ids=ids, line_count=line_count, invalid_count=invalid_count)


def _parts(body: bytes) -> Iterator[bytes]:
    """
    Split a body at ends of lines into parts.

    Work on one part holds the interpreter's lock for milliseconds only, so that a huge body does not keep the event
    loop from its other connections.
    """
    start = 0
    while start < len(body):
        end = body.find(b"\n", start + PART_BYTES) + 1 or len(body)
        yield body[start:end]
        start = end


def format_id(raw: bytes) -> str:
    """Return a 16-byte ID as lower-case text."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def to_ms(seconds: float) -> int:
    """Return seconds since the epoch as whole milliseconds, limited to 64 bits."""
    return min(round(seconds * 1000), LATEST_EXPIRY_MS)


@dataclass(frozen=True, kw_only=True)
class LiveCount:
    """
    How many members are live at a time, and for how long that number is right.

    :param count: number of members that expire after that time.
    :param expires_min_ms: when the first of them expires, in milliseconds since the epoch.
    :param expires_max_ms: when the last of them expires, in milliseconds since the epoch.
    :param true_from_ms: start of the time for which the count is right.
    :param true_until_ms: end of that time, exclusive, unless the members change.
    """

    count: int
    expires_min_ms: int | None
    expires_max_ms: int | None
    true_from_ms: int
    true_until_ms: int


class MemberStore:
    """Members of one audience. Not thread-safe: callers must hold the state's lock."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        # Nothing is ever rolled back or read from disk, so the journal is only cost.
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA page_size = 16384")
        self._db.execute("CREATE TABLE member (id BLOB PRIMARY KEY, expires_ms INTEGER NOT NULL) WITHOUT ROWID")
        self._cached: LiveCount | None = None

    def close(self) -> None:
        """Free the memory at once."""
        self._db.close()

    def replace(self, ids: Iterable[bytes], *, expires_ms: int) -> None:
        """
        Make some IDs the only members.

        :param ids: 16-byte IDs, in sorted runs for speed.
        :param expires_ms: when they expire, in milliseconds since the epoch.
        """
        self._cached = None
        self._db.execute("BEGIN")
        self._db.execute("DELETE FROM member")
        self._insert(ids, expires_ms)
        self._db.execute("COMMIT")

    def put(self, ids: Iterable[bytes], *, expires_ms: int) -> None:
        """
        Add members. For IDs that are members already, the new expiry counts, whether later or sooner.

        :param ids: 16-byte IDs, in sorted runs for speed.
        :param expires_ms: when they expire, in milliseconds since the epoch.
        """
        self._cached = None
        self._db.execute("BEGIN")
        self._insert(ids, expires_ms)
        self._db.execute("COMMIT")

    def _insert(self, ids: Iterable[bytes], expires_ms: int) -> None:
        packed = b"".join(ids)
        self._db.execute(_INSERT, {"packed": packed, "length": len(packed), "expires_ms": expires_ms})

    def remove(self, ids: Iterable[bytes]) -> None:
        """
        Remove members.

        :param ids: 16-byte IDs to remove; those that are not members are ignored.
        """
        self._cached = None
        self._db.execute("BEGIN")
        self._db.executemany("DELETE FROM member WHERE id = ?", ((item,) for item in ids))
        self._db.execute("COMMIT")

    def live(self, now_ms: int) -> LiveCount:
        """
        Count the live members. The result is cached until the members or the clock make it wrong.

        :param now_ms: present time in milliseconds since the epoch.
        """
        known = self._cached
        if known is not None and known.true_from_ms <= now_ms < known.true_until_ms:
            return known
        count, first, last, expired = self._db.execute(
            "SELECT count(*) FILTER (WHERE expires_ms > :now),"
            " min(expires_ms) FILTER (WHERE expires_ms > :now),"
            " max(expires_ms) FILTER (WHERE expires_ms > :now),"
            " max(expires_ms) FILTER (WHERE expires_ms <= :now) FROM member",
            {"now": now_ms},
        ).fetchone()
        self._cached = LiveCount(
            count=count,
            expires_min_ms=first,
            expires_max_ms=last,
            true_from_ms=-LATEST_EXPIRY_MS if expired is None else expired,
            true_until_ms=LATEST_EXPIRY_MS if first is None else first,
        )
        return self._cached

    def stored_count(self) -> int:
        """Return the number of rows, including expired members."""
        (count,) = self._db.execute("SELECT count(*) FROM member").fetchone()
        return int(count)

    def page(self, *, after: bytes, now_ms: int, limit: int) -> list[tuple[bytes, int]]:
        """
        Return a page of live members in order, each with its expiry in milliseconds since the epoch.

        :param after: last ID of the page before; empty for the first page.
        :param now_ms: present time in milliseconds since the epoch.
        :param limit: most rows to return.
        """
        return self._db.execute(
            "SELECT id, expires_ms FROM member WHERE id > ? AND expires_ms > ? ORDER BY id LIMIT ?",
            (after, now_ms, limit),
        ).fetchall()


def format_page(rows: Iterable[tuple[bytes, int]], *, include_ttl: bool) -> Iterator[str]:
    """
    Yield one line of text for each member.

    :param rows: IDs and expiries, as :meth:`MemberStore.page` returns them.
    :param include_ttl: whether a comma and the expiry in seconds since the epoch follow each ID.
    """
    for raw, expires_ms in rows:
        yield f"{format_id(raw)},{expires_ms / 1000:.3f}\n" if include_ttl else f"{format_id(raw)}\n"
