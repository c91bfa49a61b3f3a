"""
The emulator for tests: started in a thread, and controlled by methods instead of HTTP calls.

:class:`AudiencesEmulatorControl` controls a server that is running already, and needs the standard library only.
:class:`AudiencesEmulator` also starts one. The pytest fixtures are in :mod:`.pytest_plugin`.
"""

import asyncio
import contextlib
import json
import secrets
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, cast

from .access_keys import make_access_key

if TYPE_CHECKING:
    import uvicorn

# So that naming this module as a plugin gives the fixtures too; no pytest is needed to import it.
pytest_plugins = ["airflow_provider_audiences.emulator.pytest_plugin"]

PAI_PATH = "/api/PaiPlugin/2022-01-12"
START_SECONDS = 10
TIMEOUT_SECONDS = 60


class EmulatorError(RuntimeError):
    """The emulator did not start, or refused a control request."""


class EmulatorRequest(TypedDict):
    """One recorded request. Its ``status`` is None while it runs, and if the connection was dropped."""

    number: int
    operation: str
    method: str
    target: str
    headers: dict[str, str]
    body_bytes: int
    body_lines: int
    status: int | None
    fault: str | None
    received_at: float


class AudiencesEmulatorControl:
    """
    Controls a running emulator.

    :param url: address of the emulator, such as ``http://127.0.0.1:8765``.
    :param api_key: API key of the emulator; needed for the methods that return connections only.
    :param access_key_id: id of its AccessKey pair; needed for the same methods.
    :param access_key_secret: secret of its AccessKey pair; needed for the same methods.
    :param security_token: STS token of its AccessKey pair; empty (default) for a permanent pair.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str = "",
        access_key_id: str = "",
        access_key_secret: str = "",
        security_token: str = "",
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError("url must begin with http:// or https://")
        self.url = url.rstrip("/")
        self.api_key = api_key
        self.access_key_id = access_key_id
        self.access_key_secret = access_key_secret
        self.security_token = security_token
        # The emulator is on this machine or next to it, so proxies of the environment are ignored.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/_emulator{path}", data=data, headers=headers, method=method
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                return cast("bytes", response.read())
        except urllib.error.HTTPError as error:
            with error:
                raise EmulatorError(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self._send(method, path, body)))

    def applovin_connection_uri(self) -> str:
        """Return an Airflow connection of the type ``applovin`` to the emulator, as JSON."""
        return json.dumps({"conn_type": "applovin", "host": self.url, "password": self.api_key})

    def pai_connection_uri(self, dialect: str = "bearer") -> str:
        """
        Return an Airflow connection of the type ``pai`` to the emulator, as JSON.

        :param dialect: ``bearer`` (default) for the API key, or ``openapi`` for the AccessKey pair.
        """
        if dialect == "bearer":
            return json.dumps({"conn_type": "pai", "host": self.url + PAI_PATH, "password": self.api_key})
        if dialect != "openapi":
            raise ValueError("dialect must be bearer or openapi")
        connection: dict[str, Any] = {
            "conn_type": "pai",
            "host": self.url,
            "login": self.access_key_id,
            "password": self.access_key_secret,
        }
        if self.security_token:
            connection["extra"] = {"security_token": self.security_token}
        return json.dumps(connection)

    def alibaba_connection_uri(self) -> str:
        """Return an Airflow connection of the type ``alibaba_cloud`` to the emulator, as JSON."""
        extra = {"access_key_id": self.access_key_id, "access_key_secret": self.access_key_secret}
        if self.security_token:
            extra["security_token"] = self.security_token
        return json.dumps({"conn_type": "alibaba_cloud", "host": self.url, "extra": extra})

    def reset(self) -> None:
        """Reset state, settings, clock, faults and recorded requests."""
        self._call("POST", "/reset")

    def now(self) -> float:
        """Return the emulated time in seconds since the epoch."""
        return cast("float", self._call("GET", "/clock")["now"])

    def advance(self, seconds: float) -> float:
        """
        Move the clock forward, and return the new emulated time in seconds since the epoch.

        :param seconds: how many seconds to move it.
        """
        return cast("float", self._call("POST", "/clock", {"advance_seconds": seconds})["now"])

    def set_clock(self, epoch_seconds: float, *, freeze: bool | None = None) -> float:
        """
        Set the clock, and return the new emulated time in seconds since the epoch.

        :param epoch_seconds: new time in seconds since the epoch.
        :param freeze: True stops the clock, False lets it run, None (default) changes neither.
        """
        body: dict[str, Any] = {"set": epoch_seconds}
        if freeze is not None:
            body["freeze"] = freeze
        return cast("float", self._call("POST", "/clock", body)["now"])

    def freeze(self, frozen: bool = True) -> float:
        """
        Stop or start the clock, and return the emulated time in seconds since the epoch.

        :param frozen: True (default) stops the clock, False lets it run.
        """
        return cast("float", self._call("POST", "/clock", {"freeze": frozen})["now"])

    def requests(self, operation: str | None = None, *, limit: int | None = None) -> list[EmulatorRequest]:
        """
        Return the recorded requests, oldest first.

        :param operation: only requests of this operation, such as ``applovin.append``; None (default) for all.
        :param limit: only this many of the latest requests; None (default) for all.
        """
        wanted = {"operation": operation, "limit": limit}
        query = urllib.parse.urlencode({name: value for name, value in wanted.items() if value is not None})
        return cast("list[EmulatorRequest]", self._call("GET", f"/requests?{query}")["requests"])

    def clear_requests(self) -> None:
        """Forget the recorded requests."""
        self._call("DELETE", "/requests")

    def fault(self, operation: str, kind: str, **options: Any) -> dict[str, Any]:
        """
        Plan a fault, and return it.

        :param operation: operation such as ``pai.create``, or ``*``, ``applovin.*``, ``pai.*``.
        :param kind: one of the kinds in ``docs/emulator.md``.
        :param options: ``number``, ``times``, and the options of the kind.
        :raises EmulatorError: the description makes no sense.
        """
        return self._call("POST", "/faults", {"operation": operation, "kind": kind, **options})

    def faults(self) -> list[dict[str, Any]]:
        """Return all planned faults, including those that are used up."""
        return cast("list[dict[str, Any]]", self._call("GET", "/faults")["faults"])

    def clear_faults(self) -> None:
        """Forget the planned faults."""
        self._call("DELETE", "/faults")

    def latency(self, operation: str, seconds: float) -> None:
        """
        Delay all requests of an operation.

        :param operation: operation or wildcard, as for :meth:`fault`.
        :param seconds: real seconds before each such request is worked on; 0 ends the delay.
        """
        self._call("POST", "/latency", {"operation": operation, "seconds": seconds})

    def settings(self, **changes: Any) -> dict[str, Any]:
        """
        Change settings, and return all of them.

        :param changes: new values by name; without any, the settings are only read.
        :raises EmulatorError: a setting does not exist, or can't have the value.
        """
        return self._call("PATCH", "/settings", changes) if changes else self._call("GET", "/settings")

    def audiences(self) -> list[dict[str, Any]]:
        """Return all AppLovin audiences, as :meth:`audience` shows each."""
        return cast("list[dict[str, Any]]", self._call("GET", "/applovin/audiences")["audiences"])

    def audience(self, audience_id: str) -> dict[str, Any]:
        """Return an AppLovin audience with its live ``count``, ``expires_min`` and ``expires_max``."""
        return self._call("GET", f"/applovin/audiences/{urllib.parse.quote(audience_id, safe='')}")

    def member_count(self, audience_id: str) -> int:
        """Return the number of live members of an AppLovin audience."""
        return cast("int", self.audience(audience_id)["count"])

    def members(self, audience_id: str) -> list[str]:
        """Return the live members of an AppLovin audience, in lower case, sorted."""
        return self._member_lines(audience_id, "")

    def member_expiries(self, audience_id: str) -> dict[str, float]:
        """Return the expiry of each live member of an AppLovin audience, in seconds since the epoch."""
        pairs = (line.split(",") for line in self._member_lines(audience_id, "?include_ttl=1"))
        return {member: float(expiry) for member, expiry in pairs}

    def suppressed(self, package_name: str) -> list[str]:
        """Return the users on an app's AppLovin suppression list, in lower case, sorted."""
        quoted = urllib.parse.quote(package_name, safe="")
        return self._send("GET", f"/applovin/suppression/{quoted}/members").decode("ascii").split()

    def _member_lines(self, audience_id: str, query: str) -> list[str]:
        quoted = urllib.parse.quote(audience_id, safe="")
        return self._send("GET", f"/applovin/audiences/{quoted}/members{query}").decode("ascii").split()

    def groups(self, *, deleted: bool = False) -> list[dict[str, Any]]:
        """
        Return the PAI groups, oldest first, with ``Deleted``, ``People`` and ``CheckedAt`` added.

        :param deleted: whether to include deleted groups; default False.
        """
        groups = cast("list[dict[str, Any]]", self._call("GET", "/pai/groups")["groups"])
        return [group for group in groups if deleted or not group["Deleted"]]

    def billing(self) -> dict[str, dict[str, int]]:
        """Return how many PAI calls ``succeeded``, ``failed`` and were ``billed``, for each call and in ``total``."""
        return self._call("GET", "/billing")


class AudiencesEmulator(AudiencesEmulatorControl):
    """
    An emulator in a thread of this process, on a free port of the loopback address; a context manager.

    :param api_key: API key of both services; None (default) for a random one.
    :param access_key_id: id of the AccessKey pair for signed PAI requests; None (default) for a random one.
    :param access_key_secret: secret of that pair; None (default) for a random one.
    :param security_token: STS token that signed requests have to carry; None (default) for a permanent pair.
    :param http: uvicorn's HTTP implementation: ``auto`` (default), ``h11`` or ``httptools``.
    :param settings: settings to start with, and to return to on reset.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        access_key_id: str | None = None,
        access_key_secret: str | None = None,
        security_token: str | None = None,
        http: str = "auto",
        **settings: Any,
    ) -> None:
        pair = make_access_key(
            access_key_id=access_key_id, access_key_secret=access_key_secret, security_token=security_token
        )
        super().__init__(
            "http://127.0.0.1:0",
            api_key=api_key or secrets.token_urlsafe(24),
            access_key_id=pair.access_key_id,
            access_key_secret=pair.access_key_secret,
            security_token=pair.security_token or "",
        )
        self._access_key = pair
        self._http = http
        self._start_settings = settings
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """
        Start the server, and wait until it replies.

        :raises EmulatorError: it does not start, or is running already.
        """
        if self._server is not None:
            raise EmulatorError("The emulator runs already")
        # Imported here, so that controlling a server that runs elsewhere does not need them.
        from .app import create_app  # noqa: PLC0415
        from .server import address_of, build_server, listen  # noqa: PLC0415
        from .settings import Settings  # noqa: PLC0415

        app = create_app(api_key=self.api_key, access_key=self._access_key, settings=Settings(**self._start_settings))
        server = build_server(app, http=self._http)
        listener = listen("127.0.0.1", 0)
        self.url = address_of(listener)
        self._server = server
        self._thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listener])),
            name="audiences-emulator",
            daemon=True,
        )
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise EmulatorError("The emulator did not start")
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop the server, and wait until it has stopped. Does nothing if the server is not running."""
        if self._server is not None and self._thread is not None:
            with contextlib.suppress(EmulatorError, OSError):
                # Ends the requests that wait; otherwise the shutdown would wait for them.
                self.reset()
            self._server.should_exit = True
            self._thread.join()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
