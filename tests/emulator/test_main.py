import os
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from support.bare_clients import OpenApi

from airflow_provider_audiences.emulator import AudiencesEmulatorControl
from airflow_provider_audiences.emulator import __main__ as command
from airflow_provider_audiences.emulator.addresses import is_loopback
from airflow_provider_audiences.emulator.server import address_of, build_server, listen
from airflow_provider_audiences.emulator.testing import EmulatorError

COMMAND = [sys.executable, "-m", "airflow_provider_audiences.emulator", "--port", "0"]


def start(*arguments: Any, **environment: Any) -> tuple[Any, Any]:
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout
    url = process.stdout.readline().split()[-1]
    return process, url


def access_key(shown: Any) -> dict[str, Any]:
    (_, key_id), (_, secret) = shown
    return {"access_key_id": key_id, "access_key_secret": secret}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_makes_keys_and_ends_on_a_signal(number: Any) -> None:
    process, url = start("--processing-seconds", "0")
    try:
        key = process.stdout.readline().removeprefix("API key: ").strip()
        assert len(key) >= 24
        assert AudiencesEmulatorControl(url).settings()["processing_seconds"] == 0
        assert requests.get(f"{url}/audiences/list", params={"api_key": key}, timeout=10).status_code == 200
        shown = [process.stdout.readline().strip().split(": ") for _ in range(2)]
        assert [name for name, _ in shown] == ["AccessKey id", "AccessKey secret"]
        assert all(len(value) >= 24 for _, value in shown)
        assert OpenApi(SimpleNamespace(url=url, security_token="", **access_key(shown))).call("GET").ok
    finally:
        process.send_signal(number)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert output == ""


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(["--api-key", "my-key"], {}), ([], {command.KEY_VARIABLE: "my-key"})],
)
def test_the_command_never_shows_a_key_that_it_was_given(arguments: list[Any], environment: dict[str, Any]) -> None:
    process, url = start(*arguments, "--log-level", "debug", **environment)
    try:
        reply = requests.get(f"{url}/audiences/list", params={"api_key": "my-key"}, timeout=10)
        assert reply.status_code == 200
        AudiencesEmulatorControl(url).fault("*", "drop_before")
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{url}/audiences/list", params={"api_key": "my-key"}, timeout=10)
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "my-key" not in output
    assert "Traceback" not in output


def test_the_command_takes_an_access_key_and_does_not_show_it() -> None:
    names = command.ACCESS_KEY_VARIABLES
    secrets = {"access_key_secret": "a-secret-word", "security_token": "a-token-word"}
    environment = {names[name]: value for name, value in secrets.items()}
    process, url = start("--access-key-id", "my-id", "--api-key", "my-key", "--log-level", "debug", **environment)
    try:
        caller = OpenApi(SimpleNamespace(url=url, access_key_id="my-id", **secrets))
        assert caller.call("GET").status_code == 200
        caller.emulator.security_token = ""
        assert caller.call("GET").json()["Code"] == "MissingSecurityToken"
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert not [word for word in ("my-id", "my-key", *secrets.values()) if word in output]


def free_port() -> Any:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_main_returns_after_a_signal(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    control = AudiencesEmulatorControl(f"http://127.0.0.1:{port}")

    def stop_when_it_runs() -> None:
        for _ in range(500):
            try:
                control.now()
            except (OSError, EmulatorError):
                time.sleep(0.01)
            else:
                break
        os.kill(os.getpid(), signal.SIGTERM)

    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stopper = threading.Thread(target=stop_when_it_runs)
    # Should the server fail to come up, the signal must not end the test run.
    signal.signal(signal.SIGTERM, lambda *_: None)
    stopper.start()
    try:
        assert command.main(["--port", str(port)]) == 0
    finally:
        stopper.join()
        for number, handler in kept.items():
            signal.signal(number, handler)
    address, key, *pair = capsys.readouterr().out.splitlines()
    assert address == f"Audiences emulator at http://127.0.0.1:{port}"
    assert key.startswith("API key: ")
    assert [line.partition(": ")[0] for line in pair] == ["AccessKey id", "AccessKey secret"]


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",  # noqa: S104
        "::",
        "192.0.2.1",
        "example.org",
    ],
)
def test_other_machines_are_kept_out_unless_meant(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--host", host]) == 2
    assert "--allow-remote" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_addresses(host: str) -> None:
    assert is_loopback(host)


def test_a_taken_port_and_an_impossible_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert command.main(["--port", str(taken.getsockname()[1])]) == 2
    assert "Can't start" in capsys.readouterr().err
    assert command.main(["--processing-seconds", "-1", "--port", "0"]) == 2
    assert "processing_seconds" in capsys.readouterr().err
    # With permission the address itself is tried; this one is never ours.
    assert command.main(["--host", "192.0.2.1", "--allow-remote", "--port", "0"]) == 2


@pytest.mark.parametrize("level", ["trace", "loud"])
def test_log_levels_that_show_the_key_are_not_offered(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--log-level", level])
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn"])
def test_without_the_extra_the_command_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("airflow_provider_audiences.emulator.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert command.main([]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "airflow-provider-audiences[emulator]" in error


def test_other_missing_modules_are_not_blamed_on_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise ModuleNotFoundError("no", name="sqlite3")

    monkeypatch.setattr(command, "_serve", fail)
    with pytest.raises(ModuleNotFoundError):
        command.main([])


def test_addresses_of_version_6_are_written_in_brackets() -> None:
    try:
        listener = listen("::1", 0)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener:
        assert address_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_the_fast_http_implementation_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastapi import FastAPI

    monkeypatch.setitem(sys.modules, "uvicorn.protocols.http.httptools_impl", None)
    assert "H11" in vars(build_server(FastAPI()).config)["http"].__mro__[1].__name__
    with pytest.raises(ImportError):
        build_server(FastAPI(), http="httptools")
