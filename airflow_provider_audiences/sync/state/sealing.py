"""Small JSON files with a checksum, which shows whether a file is damaged: manifests and stored plans."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_audiences.exceptions import LedgerLostError


def sealed(content: Mapping[str, Any]) -> bytes:
    """
    Return content as JSON with a checksum.

    :param content: fields to write as JSON; there must be no key ``checksum`` among them.
    """
    return json.dumps({**content, "checksum": _checksum(_text(content))}, indent=1).encode()


def unsealed(text: bytes, *, where: str) -> dict[str, Any]:
    """
    Return the content of JSON that :func:`sealed` has made.

    :param text: the JSON with its checksum.
    :param where: address of the file, for messages.
    :raises LedgerLostError: the JSON is damaged.
    """
    try:
        content: dict[str, Any] = json.loads(text)
        checksum, rest = content.pop("checksum"), _text(content)
        # Earlier versions wrote a SHA-256 digest as the checksum of plans.
        if checksum not in {_checksum(rest), hashlib.sha256(rest).hexdigest()}:
            raise ValueError("its checksum does not fit")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise LedgerLostError(f"{where} is damaged") from None
    return content


def _text(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _checksum(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=8).hexdigest()
