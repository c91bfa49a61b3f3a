"""How many bytes a member's key has."""

from __future__ import annotations

WORD_BYTES = 8
"""Bytes of one word of a key: a key is a number of words."""

KEY_BYTES = 16
"""Bytes of a key, unless its identifier kind needs more; a multiple of :data:`WORD_BYTES`, and at least 16."""
