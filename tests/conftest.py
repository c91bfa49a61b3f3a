"""
What all tests share. Set before anything imports Airflow: a home of its own, gone after the run.

Helpers are fixtures, or stand in tests/support: test modules are not importable (``--import-mode=importlib``).
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

_airflow_home = tempfile.TemporaryDirectory(prefix="audiences-tests-")
os.environ["AIRFLOW_HOME"] = _airflow_home.name
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
# Proxies and keys of the machine that the tests happen to run on are not for them.
for _name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "DASHSCOPE_API_KEY", "REQUESTS_CA_BUNDLE"):
    os.environ.pop(_name, None)
    os.environ.pop(_name.lower(), None)

from support.dag_scripts import AirflowProcesses  # noqa: E402

from airflow_provider_audiences.emulator.testing import PAI_PATH, AudiencesEmulator  # noqa: E402
from airflow_provider_audiences.http import error_budget  # noqa: E402
from airflow_provider_audiences.http.calls import TransportSettings  # noqa: E402
from airflow_provider_audiences.platforms.applovin.client import AppLovinClient  # noqa: E402
from airflow_provider_audiences.platforms.pai.auth import AccessKeyAuth, ApiKeyAuth, PaiAuth  # noqa: E402
from airflow_provider_audiences.platforms.pai.client import PaiClient  # noqa: E402
from airflow_provider_audiences.platforms.pai.signing import AccessKey  # noqa: E402
from airflow_provider_audiences.redaction import Secret  # noqa: E402

# The same examples in every run, so that a change is what fails a run; HYPOTHESIS_PROFILE=random looks for new ones.
# No deadline: a busy machine is no failure.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("random", deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

pytest_plugins = ["airflow_provider_audiences.emulator.pytest_plugin", "support.recorder"]

API_KEY = "k+/=%&?#'\"~key 9"
"""Every character that an encoding may get wrong."""

ACCESS_KEY_ID = "LTAI-test/+=9"
ACCESS_KEY_SECRET = "s+/=%&?#'\"~secret 9"


def pytest_unconfigure() -> None:
    _airflow_home.cleanup()


@pytest.fixture(scope="session")
def emulator_server() -> Iterator[AudiencesEmulator]:
    """One emulator whose key has special characters, and which never throttles by itself."""
    with AudiencesEmulator(
        api_key=API_KEY, access_key_id=ACCESS_KEY_ID, access_key_secret=ACCESS_KEY_SECRET, qps=None
    ) as emulator:
        yield emulator


@pytest.fixture
def emulator(emulator_server: AudiencesEmulator) -> AudiencesEmulator:
    emulator_server.reset()
    return emulator_server


@pytest.fixture(autouse=True)
def _no_errors_of_others() -> Iterator[None]:
    """What other tests' accounts have had of errors is theirs: all talk to the same emulator, with the same key."""
    yield
    error_budget._accounts.clear()
    shutil.rmtree(Path(_airflow_home.name) / "audiences" / "accounts", ignore_errors=True)


@pytest.fixture
def waits() -> list[float]:
    """The waits between attempts that a client asked for; nothing really waits."""
    return []


@pytest.fixture
def make_applovin(emulator: AudiencesEmulator, waits: list[float]) -> Iterator[Callable[..., AppLovinClient]]:
    """Makes AppLovin clients: ``make_applovin(base_url=…, sleep=…, **transport_settings)``."""
    with contextlib.ExitStack() as stack:

        def make(
            *, key: str = API_KEY, base_url: str | None = None, sleep: Callable[[float], None] | None = None, **kw: Any
        ) -> AppLovinClient:
            extra = {"content_type": kw.pop("content_type")} if "content_type" in kw else {}
            client = AppLovinClient(
                api_key=Secret(key),
                base_url=emulator.url if base_url is None else base_url,
                settings=TransportSettings(**{"jitter": False, "read_timeout_seconds": 20.0, **kw}),
                sleep=sleep or waits.append,
                **extra,
            )
            return stack.enter_context(client)

        yield make


@pytest.fixture
def make_pai(emulator: AudiencesEmulator, waits: list[float]) -> Iterator[Callable[..., PaiClient]]:
    """
    Makes PAI clients: ``make_pai("openapi", base_url=…, sleep=…, requests_per_second=…, **transport_settings)``.

    ``key`` is the API key or the AccessKey's secret.
    """
    with contextlib.ExitStack() as stack:

        def make(
            dialect: str = "bearer",
            *,
            key: str | None = None,
            auth: PaiAuth | None = None,
            base_url: str | None = None,
            sleep: Callable[[float], None] | None = None,
            requests_per_second: float = 1e6,
            **kw: Any,
        ) -> PaiClient:
            prefix = PAI_PATH if dialect == "bearer" else ""
            if auth is None and dialect == "bearer":
                auth = ApiKeyAuth(Secret(key or API_KEY))
            elif auth is None:
                auth = AccessKeyAuth(AccessKey(key_id=ACCESS_KEY_ID, secret=Secret(key or ACCESS_KEY_SECRET)))
            client = PaiClient(
                auth=auth,
                base_url=emulator.url + prefix if base_url is None else base_url,
                settings=TransportSettings(**{"jitter": False, "read_timeout_seconds": 20.0, **kw}),
                requests_per_second=requests_per_second,
                sleep=sleep or waits.append,
            )
            return stack.enter_context(client)

        yield make


@pytest.fixture
def applovin(make_applovin: Callable[..., AppLovinClient]) -> AppLovinClient:
    return make_applovin()


@pytest.fixture
def pai(make_pai: Callable[..., PaiClient]) -> PaiClient:
    return make_pai()


@pytest.fixture(params=["bearer", "openapi"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Each of PAI's dialects in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def make_ids() -> Callable[..., list[str]]:
    """Makes distinct advertising IDs: ``make_ids(count, start=1)``."""

    def make(count: int, *, start: int = 1) -> list[str]:
        hexes = (f"{number:032x}" for number in range(start, start + count))
        return [f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}" for h in hexes]

    return make


@pytest.fixture(scope="session")
def as_body() -> Callable[[list[str]], bytes]:
    """Joins IDs to a request body."""
    return lambda ids: "".join(f"{item}\n" for item in ids).encode()


@pytest.fixture
def connect(emulator: AudiencesEmulator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """
    Sets the Airflow connections ``applovin_default`` and ``pai_default`` to the emulator, without waits between
    attempts; call it again to change one: ``connect("pai", password=None, extra={"region": "cn-shanghai"})``, or
    ``connect("pai", dialect="openapi")``.
    """

    def change(conn_type: str, *, conn_id: str | None = None, dialect: str = "bearer", **changes: Any) -> None:
        path = PAI_PATH if (conn_type, dialect) == ("pai", "bearer") else ""
        connection = {
            "conn_type": conn_type,
            "host": emulator.url + path,
            "password": API_KEY,
            "extra": {"backoff_seconds": 0},
        }
        if dialect == "openapi":
            connection |= {"login": ACCESS_KEY_ID, "password": ACCESS_KEY_SECRET}
        connection |= changes
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id or conn_type}_DEFAULT".upper(), json.dumps(connection))

    change("applovin")
    change("pai")
    return change


@pytest.fixture(scope="session")
def task_context() -> Callable[..., Any]:
    """
    Makes the part of a task's context that our operators use: ``task_context(try_number=2)``.

    What they push is in ``context["ti"].pushed``.
    """

    def make(**changes: Any) -> Any:
        pushed: dict[str, Any] = {}
        ti = types.SimpleNamespace(
            try_number=1,
            max_tries=0,
            dag_id="dag",
            task_id="task",
            run_id="run",
            map_index=-1,
            pushed=pushed,
            xcom_push=lambda *, key, value: pushed.update({key: value}),
        )
        vars(ti).update(changes)
        return {"ti": ti}

    return make


@pytest.fixture
def make_audience(
    connect: Callable[..., None], emulator: AudiencesEmulator, task_context: Callable[..., Any]
) -> Callable[..., str]:
    """Creates an audience of iOS at the emulator, which forgets the request; returns its id: ``make_audience("A")``."""

    def make(name: str = "A") -> str:
        from airflow_provider_audiences.operators.applovin import AppLovinCreateAudienceOperator

        create = AppLovinCreateAudienceOperator(task_id="create", name=name, platform="ios", package_name="p")
        audience_id: str = create.execute(task_context())
        emulator.clear_requests()
        return audience_id

    return make


@pytest.fixture
def late_requests_end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a sync wait a second, not AppLovin's 251, until no request of an earlier one can take effect any more."""
    from airflow_provider_audiences.platforms.applovin.audience_destination import AudienceDestination
    from airflow_provider_audiences.platforms.applovin.suppression import SuppressionDestination

    for destination in (AudienceDestination, SuppressionDestination):
        limits = dataclasses.replace(destination.limits, late_effect_seconds=1, max_request_seconds=0)
        monkeypatch.setattr(destination, "limits", limits)


@pytest.fixture(scope="session")
def empty_airflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Airflow's SQLite database without any run, to copy; one process of the test run makes it for all."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    made = shared / "airflow.db"
    with (shared / "airflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            command = [sys.executable, "-m", "airflow", "db", "migrate"]
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
            shutil.move(Path(_airflow_home.name, "airflow.db"), made)
    return made


@pytest.fixture(scope="session")
def airflow_database(empty_airflow_database: Path) -> None:
    """Brings Airflow's SQLite database to the home of this process."""
    shutil.copy(empty_airflow_database, Path(_airflow_home.name, "airflow.db"))


@pytest.fixture(scope="module")
def airflow_processes(airflow_database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowProcesses]:
    """Run scripts of DAGs; a module's have one folder."""
    processes = AirflowProcesses(tmp_path_factory.mktemp("dags"))
    yield processes
    processes.close()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files go to, so that tests see what is left."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The folder of a PostgreSQL server's socket."""
    from demo.postgres import running_postgres

    with running_postgres() as folder:
        yield str(folder)


@pytest.fixture
def postgres(postgres_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A connection that commits at once, in an empty schema; Airflow's connection is ``warehouse``."""
    import psycopg2

    connection = {
        "conn_type": "postgres",
        "host": postgres_server,
        "login": "postgres",
        "password": "sesame-key",
        "schema": "postgres",
        "extra": {"application_name": "airflow"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    admin = psycopg2.connect(host=postgres_server, user="postgres", dbname="postgres")
    admin.autocommit = True
    admin.cursor().execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    yield admin
    admin.close()
