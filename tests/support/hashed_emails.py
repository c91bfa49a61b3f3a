"""An identifier kind whose keys are wider than those of the package: SHA-256 digests of e-mail addresses."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from airflow_provider_audiences.members.columns import ParsedMembers, TextColumn
from airflow_provider_audiences.members.identifiers.patterns import MemberPatterns
from airflow_provider_audiences.members.keys.key_order import WORD_BYTES, Keys
from airflow_provider_audiences.members.reject_reasons import RejectReason

_DIGEST_BYTES = 32


class _Patterns(MemberPatterns):
    in_text = re.compile(r"[0-9A-Fa-f]{64}|[^\s@]+@[^\s@]+")
    in_server_replies = (in_text,)

    def are_members(self, text: str, *, looks_like_path: bool) -> bool:
        return self.in_text.fullmatch(text) is not None and not looks_like_path


class HashedEmails:
    """Addresses are trimmed, written in lower case, and hashed; digests are taken as they are."""

    name = "hashed e-mail"
    plural = "hashed e-mails"
    rule = "an e-mail address, or 64 hex digits"
    patterns: MemberPatterns = _Patterns()
    line_bytes = 2 * _DIGEST_BYTES + 1
    key_bytes = _DIGEST_BYTES
    column = "hashed_email"

    def parse(self, column: TextColumn) -> ParsedMembers:
        digests, rejected = [], []
        for row in range(len(column)):
            text = column.text(row).decode().strip().lower()
            if re.fullmatch("[0-9a-f]{64}", text):
                digests.append(bytes.fromhex(text))
            elif re.fullmatch(r"[^\s@]+@[^\s@]+", text):
                digests.append(hashlib.sha256(text.encode()).digest())
            else:
                rejected.append(row)
        keys = np.frombuffer(b"".join(digests), ">u8").astype(np.uint64).reshape(-1, _DIGEST_BYTES // WORD_BYTES)
        return ParsedMembers(
            keys=keys, rejected={RejectReason.MALFORMED: np.array(rejected, np.int64)} if rejected else {}
        )

    def lines(self, keys: Keys) -> bytes:
        return b"".join(f"{bytes(key).hex()}\n".encode() for key in keys.astype(">u8"))


def digests_of(addresses: Sequence[str]) -> list[str]:
    """Return the digests of addresses, as lines have them."""
    return [hashlib.sha256(address.strip().lower().encode()).hexdigest() for address in addresses]
