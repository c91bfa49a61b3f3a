"""How messages say numbers: in logs, errors, verdicts and reports."""

from __future__ import annotations


def counted(count: int, one: str, several: str = "") -> str:
    """
    Return a count with what is counted: ``1 request``, ``2 requests``, ``1,200 batches were accepted``.

    :param count: the count.
    :param one: what is said after a 1.
    :param several: what is said after any other number; empty (default) for ``one`` with an s.
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
