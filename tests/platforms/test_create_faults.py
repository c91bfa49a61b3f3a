"""
PAI's create under each fault, on each attempt, in both dialects: one group, and what it cost.

With ``-s`` the table is printed as Markdown.
"""

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from support import fault_table as table

from airflow_provider_audiences.emulator import AudiencesEmulator
from airflow_provider_audiences.exceptions import ConnectionFailedError, RateLimitedError, ServerError, TransientError

ATTEMPTS = 4
DIALECTS = {"bearer": "pai.create", "openapi": "openapi.create"}
# Carried out, and the reply lost.
APPLIED: dict[str, Any] = {
    "500, though applied": ServerError,
    "dropped after": ConnectionFailedError,
    "slow": ConnectionFailedError,
    "half a body": ConnectionFailedError,
    "half a body, then dropped": ConnectionFailedError,
    "500, applied in the wait": ServerError,
    "dropped, applied in the wait": ConnectionFailedError,
}
# Not carried out, and the client can't tell.
IN_DOUBT: dict[str, Any] = {
    "500": ServerError,
    "dropped before": ConnectionFailedError,
    "200 with code 500": ServerError,
}
REFUSED: dict[str, Any] = {"429": RateLimitedError}


@pytest.fixture(scope="module")
def rows() -> Iterator[dict[tuple[str, int], dict[str, str]]]:
    """Cells of the table by fault and attempt, and by dialect."""
    collected: dict[tuple[str, int], dict[str, str]] = {}
    yield collected
    lines = ["", f"| fault | on attempt | {' | '.join(DIALECTS)} |", f"|{' --- |' * (2 + len(DIALECTS))}"]
    for (fault, attempt), cells in collected.items():
        lines.append(f"| {fault} | {attempt} | {' | '.join(cells.get(dialect, '') for dialect in DIALECTS)} |")
    sys.stdout.write("\n".join(lines) + "\n")


def _cells(faults: dict[str, Any]) -> list[tuple[str, int, str]]:
    cells = itertools.product(faults, range(1, ATTEMPTS + 1), DIALECTS)
    # After the last attempt there is no wait in which something could be applied.
    return [cell for cell in cells if not (cell[0].endswith("in the wait") and cell[1] == ATTEMPTS)]


@pytest.mark.parametrize(("fault", "attempt", "dialect"), _cells(APPLIED | IN_DOUBT | REFUSED))
def test_one_group_whatever_happens(
    emulator_server: AudiencesEmulator,
    rows: dict[tuple[str, int], dict[str, str]],
    fault: str,
    attempt: int,
    dialect: str,
) -> None:
    outcome = table.run(emulator_server, DIALECTS[dialect], table.FAULTS[fault], number=attempt, refused_before=True)

    groups = emulator_server.groups(deleted=True)
    billed = emulator_server.billing()["create"]["billed"]
    end = type(outcome.error).__name__ if outcome.error else "ok"
    rows.setdefault((fault, attempt), {})[dialect] = (
        f"{end}: {len(groups)} group, {outcome.requests} create, {1 + outcome.looks} list, "
        f"billable {outcome.billable['create']}, billed {billed}"
    )
    assert outcome.billable == {"create": outcome.requests, "get": 0, "delete": 0}
    assert billed <= outcome.requests
    # Refusals before leave no doubt; then one look, for one doubtful request.
    assert outcome.looks == (0 if fault in REFUSED else 1)
    if fault in APPLIED:
        assert outcome.error is None
        assert [group["Id"] for group in groups] == [outcome.result.group.id]
        assert outcome.requests == attempt
    elif attempt < ATTEMPTS:
        assert outcome.error is None
        assert [group["Id"] for group in groups] == [outcome.result.group.id]
        assert outcome.requests == attempt + 1
    else:
        assert type(outcome.error) is (IN_DOUBT | REFUSED)[fault]
        assert outcome.error
        assert outcome.error.maybe_applied is (fault in IN_DOUBT)
        assert (groups, outcome.requests) == ([], ATTEMPTS)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", APPLIED | IN_DOUBT | REFUSED)
def test_one_group_when_it_happens_every_time_and_the_task_tries_again(
    emulator_server: AudiencesEmulator, fault: str, dialect: str
) -> None:
    outcome = table.run(emulator_server, DIALECTS[dialect], table.FAULTS[fault], times=None)
    assert outcome.error is None or isinstance(outcome.error, TransientError)

    emulator_server.clear_faults()
    with table.connected(emulator_server, lambda _seconds: None) as clients:
        client = {"bearer": clients.pai, "openapi": clients.openapi}[dialect]
        created = client.create_group(table.SPEC, marker=table.MARKER)
    groups = emulator_server.groups(deleted=True)
    assert [group["Id"] for group in groups] == [created.group.id]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_can_not_be_told(
    emulator_server: AudiencesEmulator,
    rows: dict[tuple[str, int], dict[str, str]],
    dialect: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    A request that sleeps in the network until after the look makes a second group: no client can see it coming.

    The next look finds both, keeps the older, and names the other.
    """
    fault = "dropped, applied at the end"
    outcome = table.run(emulator_server, DIALECTS[dialect], table.FAULTS[fault])
    rows.setdefault((fault, 1), {})[dialect] = f"ok: {1 + outcome.duplicates} groups, {outcome.requests} create"
    assert outcome.duplicates == 1

    with table.connected(emulator_server, lambda _seconds: None) as clients:
        client = {"bearer": clients.pai, "openapi": clients.openapi}[dialect]
        created = client.create_group(table.SPEC, marker=table.MARKER)
    ids = [group["Id"] for group in emulator_server.groups()]
    assert created.adopted
    (other,) = set(ids) - {created.group.id}
    assert f"Several PAI groups have the marker of this task. Adopted: {created.group.id}." in caplog.text
    assert f"delete {other}." in caplog.text
