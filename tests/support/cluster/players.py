"""A warehouse with the players of each day, and a partitioned sync of them that loses a worker."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from support.cluster.cluster import Cluster
from support.cluster.rest import Run, Task

BATCH, IN_FLIGHT = 250, 2  # of the DAG
SLOTS = 4
"""Tasks that a worker runs at once."""

_HELD_UP_SECONDS = 90  # a request that is lost may take effect for 100
_TABLES = """
CREATE TABLE people AS
SELECT number, CASE number % 3 WHEN 0 THEN upper(id) ELSE id END AS idfa
FROM (SELECT number, md5(number::text)::uuid::text AS id FROM generate_series(1, {count}) AS number) AS made;
CREATE TABLE playing (day integer, begins integer, ends integer);
CREATE TABLE opting_out (day integer, begins integer, ends integer);
CREATE VIEW wanted AS SELECT day, idfa FROM playing JOIN people ON number BETWEEN begins AND ends;
CREATE VIEW opted_out AS SELECT day, idfa FROM opting_out JOIN people ON number BETWEEN begins AND ends;
"""


class Players:
    """
    Players, by numbers from 1; their IDs begin with all digits alike, and some are in upper case.

    :param cursor: cursor of an empty database.
    :param count: how many players there are.
    """

    def __init__(self, cursor: Any, count: int) -> None:
        self._cursor = cursor
        cursor.execute(_TABLES.format(count=count))

    def play(self, day: int, begins: int, ends: int) -> None:
        """
        Say who plays on a day.

        :param day: number of the day.
        :param begins: number of the first player.
        :param ends: number of the last one.
        """
        self._cursor.execute("INSERT INTO playing VALUES (%s, %s, %s)", (day, begins, ends))

    def opt_out(self, day: int, begins: int, ends: int) -> None:
        """
        Say who opts out on a day, for good.

        :param day: number of the day.
        :param begins: number of the first player.
        :param ends: number of the last one.
        """
        self._cursor.execute("INSERT INTO opting_out VALUES (%s, %s, %s)", (day, begins, ends))

    def members(self, day: int) -> set[str]:
        """
        Return who has to be in the audience.

        :param day: number of the day.
        """
        self._cursor.execute(
            "SELECT lower(idfa) FROM wanted WHERE day = %(day)s "
            "EXCEPT SELECT lower(idfa) FROM opted_out WHERE day <= %(day)s",
            {"day": day},
        )
        return {idfa for (idfa,) in self._cursor.fetchall()}


@dataclass(frozen=True, kw_only=True)
class Loss:
    """
    What a worker that was lost has left.

    :param worker: name of the worker.
    :param done: names of the tasks that had succeeded, on both workers.
    :param cut_off: names of the tasks that the lost worker had.
    """

    worker: str
    done: list[str]
    cut_off: list[str]


def lose_a_sender(cluster: Cluster, run: Run) -> Loss:
    """
    End a worker with four tasks that send their partitions, when some partitions are done and requests are in flight.

    :param cluster: the cluster.
    :param run: run of the DAG of partitions.
    """
    emulator = cluster.emulator
    emulator.latency("applovin.append", 1)
    cluster.wait_until("partitions that are done", lambda: len(_senders(run, "success")) >= SLOTS, seconds=600)
    emulator.latency("applovin.append", _HELD_UP_SECONDS)

    def doomed() -> str | None:
        workers = Counter(task.worker for task in _senders(run, "running")).most_common(1)
        in_flight = sum(request["status"] is None for request in emulator.requests("applovin.append"))
        # So many can't all be the other worker's.
        return workers[0][0] if workers and workers[0][1] == SLOTS and in_flight > SLOTS * IN_FLIGHT else None

    worker = cluster.wait_until("a worker whose tasks all send", doomed, seconds=_HELD_UP_SECONDS)
    done, running = _senders(run, "success"), _senders(run, "running")
    cluster.kill(worker)
    emulator.latency("applovin.append", 0)
    return Loss(
        worker=worker,
        done=[task.name for task in done],
        cut_off=[task.name for task in running if task.worker == worker],
    )


def check_who_did_what(run: Run, loss: Loss) -> None:
    """
    Check that another worker has done again what was cut off, and nothing else.

    :param run: the run, which has ended.
    :param loss: what was lost.
    """
    tasks = run.tasks()
    assert {tasks[name].try_number for name in loss.done} == {1}
    again = {task.name for task in tasks.values() if task.try_number > 1}
    assert again
    assert again <= set(loss.cut_off)
    for name in again:
        first, second = run.tries(name)
        assert (first.state, first.worker, second.state) == ("failed", loss.worker, "success")
        assert second.worker not in {"", loss.worker}


def _senders(run: Run, state: str) -> list[Task]:
    return [task for task in run.tasks().values() if ".apply[" in task.name and task.state == state]
