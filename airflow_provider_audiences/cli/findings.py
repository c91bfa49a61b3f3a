"""The findings of ``doctor``: for each thing that it has checked, whether it is right, and what to do if not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "info", "warning", "wrong"]
"""``info`` for a fact that is neither good nor bad."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """
    One thing that was checked.

    :param area: what it belongs to: versions, settings, state path, connections or clock.
    :param name: what was checked.
    :param status: how it is.
    :param detail: what was found, and what to do; without secrets.
    """

    area: str
    name: str
    status: Status
    detail: str
