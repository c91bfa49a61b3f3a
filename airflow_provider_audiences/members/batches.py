"""Batches: members on their way to a platform, written when a destination asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_provider_audiences.redaction import MaskedBytes
from airflow_provider_audiences.wording import counted

if TYPE_CHECKING:
    from airflow_provider_audiences.members.identifiers.kinds import IdentifierKind
    from airflow_provider_audiences.members.keys.key_order import Keys


class MemberBatch:
    """
    The members of one request, in a fixed order.

    A destination writes them as its API takes them: :meth:`lines` is a body with one member a line, :meth:`texts` are
    values for any other form, such as JSON.

    A batch shows only its size, in tracebacks as well, and is never pickled.

    :param keys: keys of the members.
    :param identifier_kind: identifier kind of the members, which writes them.
    """

    __slots__ = ("_identifier_kind", "_keys")

    def __init__(self, keys: Keys, identifier_kind: IdentifierKind) -> None:
        # The keys are kept in a function and not in an attribute, as error trackers show the attributes of objects.
        self._keys: Callable[[], Keys] = lambda: keys
        self._identifier_kind = identifier_kind

    def lines(self) -> MaskedBytes:
        """Return the members in their written form, one a line. Each call writes them anew."""
        return MaskedBytes(self._identifier_kind.lines(self._keys()))

    def texts(self) -> list[str]:
        """Return the members in their written form."""
        return self.lines().decode().splitlines()

    def __len__(self) -> int:
        return len(self._keys())

    def __repr__(self) -> str:
        return f"<{counted(len(self), 'member')}, not shown>"

    def __reduce__(self) -> str:
        raise TypeError("MemberBatch has members in it, and is never pickled")


def request_count(members: int, batch_size: int, *, replaces: bool = False) -> int:
    """
    Return the number of requests that members need, without repetitions and splits.

    :param members: number of members that are sent.
    :param batch_size: most members in a request, at least 1.
    :param replaces: whether they replace an audience's content; one request then empties it if there are none. Default
        False.
    """
    return max(-(-members // batch_size), int(replaces))
