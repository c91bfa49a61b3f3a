"""Checks of ``doctor`` on connections: their fields by the hooks' own checks, their keys, and the server's clock."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from airflow_provider_audiences.cli.findings import Finding, Status
from airflow_provider_audiences.common.targets import platform_of_connection, platforms
from airflow_provider_audiences.exceptions import AudienceError

if TYPE_CHECKING:
    from airflow_provider_audiences.cli.terminal import Terminal
    from airflow_provider_audiences.http.api_client import ApiClient

_AREA = "connections"
_ENVIRONMENT = "AIRFLOW_CONN_"
_WITHOUT_DATABASE = (
    "connections that are only there are not checked. Run doctor where the database is reached, or give them in "
    f"{_ENVIRONMENT}… or a secrets backend"
)
_TIMEOUT_SECONDS = 10.0
_NOTABLE_SECONDS = 60.0
_SIGNATURE_SECONDS = 900.0
"""A signature of PAI's AccessKeys is good for so long."""


def _own_types() -> tuple[str, ...]:
    """Return the types of the platforms' own connections; other types that hooks take are other providers' as well."""
    return tuple(platform.conn_types[0] for platform in platforms())


def connection_findings(conn_ids: Sequence[str] | None, terminal: Terminal, *, test: bool) -> Iterator[Finding]:
    """
    Yield what there is to say of connections of this provider's types.

    :param conn_ids: ids of the connections to check; None for all that the database and the environment have.
    :param terminal: takes the warnings of the hooks.
    :param test: whether to send requests.
    """
    if conn_ids is None:
        conn_ids, problem = _known_ids()
        if problem:
            yield Finding(area=_AREA, name="database", status="warning", detail=problem)
    is_chosen = bool(conn_ids)
    found = False
    for conn_id in conn_ids:
        for finding in _findings_of(conn_id, terminal, test=test):
            found = True
            yield finding
    if not found and not is_chosen:
        detail = f"there is none of the types {' and '.join(_own_types())} in the database and the environment"
        yield Finding(area=_AREA, name="all", status="info", detail=detail)


def _known_ids() -> tuple[list[str], str]:
    """Return the ids of the connections of both types, and why those of the database could not be read."""
    from airflow import settings
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.exc import SQLAlchemyError

    ids = {name.removeprefix(_ENVIRONMENT).lower() for name in os.environ if name.startswith(_ENVIRONMENT)}
    ids = {conn_id for conn_id in ids if _type_of(conn_id) in {*_own_types(), None}}
    if getattr(settings, "Session", None) is None:
        return sorted(ids), f"a task of Airflow 3 may not read Airflow's database: {_WITHOUT_DATABASE}"
    try:
        with create_session() as session:
            ids |= set(session.scalars(select(Connection.conn_id).where(Connection.conn_type.in_(_own_types()))))
    except SQLAlchemyError as error:
        return sorted(ids), f"Airflow's database can't be read ({type(error).__name__}): {_WITHOUT_DATABASE}"
    return sorted(ids), ""


def _type_of(conn_id: str) -> str | None:
    """Return the type of a connection; None if it can't be read."""
    from airflow.providers.common.compat.sdk import BaseHook

    try:
        return str(BaseHook.get_connection(conn_id).conn_type)
    except Exception:  # noqa: BLE001 - Airflow's versions raise various errors for a text that is no connection
        return None


def _findings_of(conn_id: str, terminal: Terminal, *, test: bool) -> Iterator[Finding]:
    conn_type = _type_of(conn_id)
    if conn_type is None:
        variable = f"{_ENVIRONMENT}{conn_id.upper()}"
        why = f"{variable} is no connection" if variable in os.environ else "there is no such connection"
        yield _finding(conn_id, "wrong", f"{why}: see 'airflow connections get', or give it in {variable}")
        return
    platform = platform_of_connection(conn_type)
    if platform is None:
        yield _finding(conn_id, "wrong", f"it has the type {conn_type}, and not one of: {', '.join(_own_types())}")
        return
    clients: list[ApiClient] = []
    warnings: list[str] = []
    try:
        hook_class = platform.hook_class
        if not hasattr(hook_class, "clients_of"):
            yield _finding(conn_id, "warning", f"the hook of {platform.title} has no checks of a connection's fields")
            return
        with terminal.collected_warnings() as warnings:
            connection = hook_class.get_connection(conn_id)
            clients += hook_class.clients_of(connection)
        yield from (_finding(conn_id, "warning", text) for text in dict.fromkeys(warnings))
        hosts = f"; requests go to {clients[0].host}" if clients else ""
        yield _finding(conn_id, "ok", f"its fields are right{hosts}")
        if test:
            is_right, said = hook_class(conn_id).test_connection()
            yield _finding(f"{conn_id}, test", "ok" if is_right else "wrong", said)
            if clients:
                yield clock_finding(conn_id, clients[0].base_url)
    except ImportError as error:
        yield _finding(conn_id, "wrong", f"the hook of {platform.title} can't be imported: {error}")
    except AudienceError as error:
        yield from (_finding(conn_id, "warning", text) for text in dict.fromkeys(warnings))
        yield _finding(conn_id, "wrong", str(error))
    finally:
        for client in clients:
            client.close()


def _finding(name: str, status: Status, detail: str) -> Finding:
    return Finding(area=_AREA, name=name, status=status, detail=detail)


def clock_finding(conn_id: str, base_url: str) -> Finding:
    """
    Compare this machine's clock with that of a connection's server, by the header ``Date`` of a reply.

    The request has no key and no parameters, so that any status will do.

    :param conn_id: id of the connection, for the finding's name.
    :param base_url: scheme, host and path of the server.
    """
    import requests

    began = time.time()
    try:
        reply = requests.head(base_url, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
        server = parsedate_to_datetime(reply.headers["Date"]).timestamp()
    except (requests.RequestException, KeyError, ValueError, TypeError) as error:
        return Finding(
            area="clock", name=conn_id, status="warning", detail=f"not compared: {type(error).__name__} of its server"
        )
    # The header has whole seconds, so the server's time is half a second more on average.
    offset = (began + time.time()) / 2 - (server + 0.5)
    status: Status = "ok" if abs(offset) < _NOTABLE_SECONDS else "warning"
    advice = ""
    if abs(offset) >= _SIGNATURE_SECONDS:
        status, advice = "wrong", "; set it: a signature is good for 15 minutes, and leases of workers are compared"
    elif status == "warning":
        advice = "; set it before signatures are refused, which are good for 15 minutes"
    return Finding(
        area="clock",
        name=conn_id,
        status=status,
        detail=f"this machine's clock is {_said(offset)} that of its server{advice}",
    )


def _said(offset_seconds: float) -> str:
    seconds = round(abs(offset_seconds))
    if seconds < 2:  # noqa: PLR2004 - the header's precision
        return "the same as"
    return f"{seconds:,} s {'ahead of' if offset_seconds > 0 else 'behind'}"
