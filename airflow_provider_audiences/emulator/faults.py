"""Faults and latencies that tests plan, and which requests they hit."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .recording import OPERATIONS
from .settings import is_flag, is_integer, is_positive, is_seconds

WILDCARDS = ("*", "applovin.*", "pai.*")
Check = Callable[[Any], bool]


class FaultError(ValueError):
    """A description of a fault that makes no sense."""


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[\x20-\x7e]*", value))


def _is_error_status(value: object) -> bool:
    return isinstance(value, int) and 300 <= value <= 599  # noqa: PLR2004


def _is_retry_after(value: object) -> bool:
    return is_seconds(value) or _is_text(value)


def _is_form(value: object) -> bool:
    return value in ("gateway", "service")


def _is_code(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[A-Za-z0-9.]{1,100}", value))


def _is_cut(value: object) -> bool:
    return value in ("body", "connection")


KINDS: dict[str, dict[str, Check]] = {
    "status": {
        "status": _is_error_status,
        "retry_after": _is_retry_after,
        "html": is_flag,
        "error_code": is_integer,
        "message": _is_text,
        "applied": is_flag,
        "form": _is_form,
        "code": _is_code,
    },
    "drop_before": {},
    "drop_after": {},
    "apply_late": {"delay_seconds": is_seconds, "status": _is_error_status, "drop": is_flag, "form": _is_form},
    "slow": {"seconds": is_seconds},
    "truncated_json": {"cut": _is_cut},
    "html": {},
    "wrong_counts": {"by": is_integer},
    "redirect": {"status": _is_error_status, "location": _is_text},
    "error_code": {"error_code": is_integer, "message": _is_text},
}


def check_operation(value: object) -> str:
    """
    Return an operation or wildcard, checked.

    :param value: operation such as ``pai.create``, or ``*``, ``applovin.*``, ``pai.*``.
    :raises FaultError: there is no such operation or wildcard.
    """
    if isinstance(value, str) and value in (*OPERATIONS, *WILDCARDS):
        return value
    raise FaultError(f"operation must be one of {', '.join((*OPERATIONS, *WILDCARDS))}")


def covers(pattern: str, operation: str) -> bool:
    """Return whether an operation or a wildcard matches an operation."""
    return pattern in (operation, "*") or (pattern.endswith(".*") and operation.startswith(pattern[:-1]))


@dataclass(kw_only=True)
class Fault:
    """
    One planned fault.

    :param number: first matching request that it hits, counted from 1 since it was planned.
    :param times: how many matching requests in a row it hits; None for all from there on.
    :param options: further options, which depend on the kind.
    :param seen: how many matching requests have come so far.
    """

    fault_id: int
    operation: str
    kind: str
    number: int
    times: int | None
    options: Mapping[str, Any]
    seen: int = 0

    def hits_next(self) -> bool:
        """Count a matching request, and return whether the fault hits it."""
        self.seen += 1
        return self.seen >= self.number and (self.times is None or self.seen < self.number + self.times)

    def is_of_gateway(self) -> bool:
        """Return whether the error comes from the gateway, if the service that was called has one in front of it."""
        default = "service" if "error_code" in self.options else "gateway"
        return self.kind in ("status", "apply_late") and bool(self.options.get("form", default) == "gateway")

    def is_over(self) -> bool:
        """Return whether the fault can't hit any further request."""
        return self.times is not None and self.seen >= self.number + self.times - 1

    def describe(self) -> dict[str, Any]:
        """Return the fault as the control API shows it."""
        return {
            "id": self.fault_id,
            "operation": self.operation,
            "kind": self.kind,
            "number": self.number,
            "times": self.times,
            "seen": self.seen,
            "over": self.is_over(),
            **self.options,
        }


class FaultPlan:
    """All planned faults and latencies. Use it on the event loop only."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._latencies: dict[str, float] = {}
        self._last_id = 0

    def clear(self) -> None:
        """Forget all faults and latencies."""
        self.clear_faults()
        self._latencies.clear()

    def clear_faults(self) -> None:
        """Forget all faults, and keep the latencies."""
        self._faults.clear()

    def add(self, description: Mapping[str, Any]) -> dict[str, Any]:
        """
        Plan a fault, and return it as the control API shows it.

        :param description: ``operation`` and ``kind``, optionally ``number`` and ``times``, and the options of the
            kind.
        :raises FaultError: a name is unknown, or a value has the wrong type.
        """
        options = dict(description)
        operation = check_operation(options.pop("operation", None))
        kind = options.pop("kind", None)
        number = options.pop("number", 1)
        times = options.pop("times", 1)
        if not isinstance(kind, str) or kind not in KINDS:
            raise FaultError(f"kind must be one of {', '.join(KINDS)}")
        if not is_positive(number) or not (times is None or is_positive(times)):
            raise FaultError("number and times must be integers of at least 1 (times may be null: always)")
        for name, value in options.items():
            check = KINDS[kind].get(name)
            if check is None:
                raise FaultError(f"kind {kind} takes no {name}")
            if not check(value):
                raise FaultError(f"{name} has a value that kind {kind} can't use")
        self._last_id += 1
        fault = Fault(
            fault_id=self._last_id,
            operation=operation,
            kind=kind,
            number=number,
            times=times,
            options=options,
        )
        self._faults.append(fault)
        return fault.describe()

    def take(self, operation: str) -> Fault | None:
        """
        Count a request, and return the oldest fault that hits it; None if none does. All matching faults count the
        request.

        :param operation: operation of the request, such as ``pai.create``.
        """
        # A list, not a generator: every matching fault has to count the request.
        hits = [fault for fault in self._faults if covers(fault.operation, operation) and fault.hits_next()]
        return hits[0] if hits else None

    def describe(self) -> list[dict[str, Any]]:
        """Return all faults, oldest first, including those that are used up."""
        return [fault.describe() for fault in self._faults]

    def set_latency(self, operation: object, seconds: object) -> None:
        """
        Delay all requests of an operation.

        :param operation: operation or wildcard, as for a fault.
        :param seconds: real seconds before each such request is worked on; 0 ends the delay.
        :raises FaultError: there is no such operation, or the time is impossible.
        """
        name = check_operation(operation)
        if not isinstance(seconds, int | float) or not is_seconds(seconds):
            raise FaultError("seconds must be a number of at least 0")
        self._latencies[name] = seconds

    def latency(self, operation: str) -> float:
        """Return the real seconds to wait before a request; the longest if several latencies match."""
        matching = (value for name, value in self._latencies.items() if covers(name, operation))
        return max(matching, default=0.0)

    def latencies(self) -> dict[str, float]:
        """Return the planned latencies in real seconds, by operation or wildcard."""
        return dict(self._latencies)
