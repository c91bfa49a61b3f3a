"""Counts the calls that PAI would bill."""

import threading

# By the document: failed create and delete calls are billed, failed get calls are not.
# It names no price for list, which is counted and never billed.
BILLED_WHEN_FAILED = {"create": True, "get": False, "delete": True, "list": False}
BILLED_WHEN_SUCCEEDED = {"create": True, "get": True, "delete": True, "list": False}


class Billing:
    """Counts of calls that reached the service with a valid key. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._succeeded = dict.fromkeys(BILLED_WHEN_FAILED, 0)
        self._failed = dict.fromkeys(BILLED_WHEN_FAILED, 0)

    def record(self, call: str, *, succeeded: bool) -> None:
        """
        Count a call.

        :param call: ``create``, ``get``, ``delete`` or ``list``.
        :param succeeded: whether the service did what was asked.
        """
        with self._lock:
            counts = self._succeeded if succeeded else self._failed
            counts[call] += 1

    def describe(self) -> dict[str, dict[str, int]]:
        """Return the counts ``succeeded``, ``failed`` and ``billed`` for each call, and the total that is billed."""
        with self._lock:
            result = {
                call: {
                    "succeeded": self._succeeded[call],
                    "failed": self._failed[call],
                    "billed": self._succeeded[call] * BILLED_WHEN_SUCCEEDED[call]
                    + self._failed[call] * BILLED_WHEN_FAILED[call],
                }
                for call in BILLED_WHEN_FAILED
            }
        total = {name: sum(counts[name] for counts in result.values()) for name in ("succeeded", "failed")}
        total["billed"] = sum(counts["billed"] for counts in result.values())
        return {**result, "total": total}
