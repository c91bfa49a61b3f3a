"""The demo's warehouse: a temporary PostgreSQL with the tables that examples read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from demo.postgres import postgres_programs, psql_command, running_postgres

CONN_ID = "warehouse"
PLAYERS = "players.csv"
VIP_SHARE = 10
"""One player of so many is a VIP."""

_LOAD_SECONDS = 60


def write_players(folder: Path, ids: Sequence[str]) -> None:
    """
    Write the file of which the table ``players`` is made.

    :param folder: where it lies.
    :param ids: advertising IDs of the players.
    """
    rows = [f"{item},{number % VIP_SHARE == 0}" for number, item in enumerate(ids)]
    (folder / PLAYERS).write_text("\n".join([*rows, ""]), encoding="utf-8")


@contextmanager
def running_warehouse(folder: Path) -> Iterator[str]:
    """
    Run the warehouse; yield Airflow's connection to it, as JSON.

    :param folder: where :func:`write_players` has written.
    """
    with running_postgres() as socket_folder:
        for statement in (
            "CREATE TABLE players (advertising_id text NOT NULL, is_vip boolean NOT NULL)",
            f"\\copy players FROM '{folder / PLAYERS}' (FORMAT csv)",
            "CREATE VIEW vip_wanted AS SELECT advertising_id FROM players WHERE is_vip",
        ):
            command = psql_command(postgres_programs() / "psql", socket_folder, statement)
            subprocess.run(command, check=True, capture_output=True, timeout=_LOAD_SECONDS)  # noqa: S603 - our own
        yield json.dumps(
            {"conn_type": "postgres", "host": str(socket_folder), "login": "postgres", "schema": "postgres"}
        )
