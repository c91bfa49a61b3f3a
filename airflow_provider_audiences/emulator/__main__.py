"""The command ``audiences-emulator``."""

import argparse
import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Sequence

from .addresses import is_loopback

ACCESS_KEY_VARIABLES = {
    "access_key_id": "AUDIENCES_EMULATOR_ACCESS_KEY_ID",
    "access_key_secret": "AUDIENCES_EMULATOR_ACCESS_KEY_SECRET",
    "security_token": "AUDIENCES_EMULATOR_SECURITY_TOKEN",
}
KEY_VARIABLE = "AUDIENCES_EMULATOR_API_KEY"
DEFAULT_PORT = 8765
# uvicorn's level "trace" is left out: it writes whole request targets, so the key, to the log.
LOG_LEVELS = ("critical", "error", "warning", "info", "debug")
INSTALL_HINT = "The emulator needs fastapi and uvicorn: pip install 'airflow-provider-audiences[emulator]'"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="audiences-emulator",
        description="AppLovin audiences and PAI audience groups as one local server for demos and tests.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port; 0 takes a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--api-key",
        default=None,
        help=f"key of both services; better given as {KEY_VARIABLE}, which no process list shows",
    )
    parser.add_argument(
        "--access-key-id",
        default=None,
        help=f"AccessKey id for signed PAI requests, or {ACCESS_KEY_VARIABLES['access_key_id']}",
    )
    parser.add_argument(
        "--access-key-secret",
        default=None,
        help=f"its secret; better given as {ACCESS_KEY_VARIABLES['access_key_secret']}",
    )
    parser.add_argument(
        "--security-token",
        default=None,
        help=f"STS token that signed requests have to carry; better as {ACCESS_KEY_VARIABLES['security_token']}",
    )
    parser.add_argument(
        "--processing-seconds", type=float, default=5.0, help="how long a new PAI group is being checked"
    )
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="warning")
    parser.add_argument(
        "--allow-remote",
        action="store_true",
        help="listen on an address that other machines reach; they can use the control API without a key",
    )
    return parser


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 2


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the emulator until SIGINT or SIGTERM.

    :param argv: command-line arguments; None (default) for those of the process.
    :return: exit status: 0 after a signal, 2 if the emulator could not start.
    """
    options = _parser().parse_args(argv)
    if not options.allow_remote and not is_loopback(options.host):
        return _fail(f"{options.host} is not a loopback address: add --allow-remote if that is meant")
    given_key = options.api_key or os.environ.get(KEY_VARIABLE) or None
    try:
        return _serve(options, given_key)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("fastapi", "starlette", "uvicorn"):
            raise
        return _fail(INSTALL_HINT)


def _serve(options: argparse.Namespace, given_key: str | None) -> int:
    from .access_keys import make_access_key  # noqa: PLC0415
    from .app import create_app  # noqa: PLC0415 - main explains when the extra is missing
    from .server import address_of, build_server, listen  # noqa: PLC0415
    from .settings import Settings, SettingsError  # noqa: PLC0415

    key = given_key or secrets.token_urlsafe(24)
    given = {name: getattr(options, name) or os.environ.get(text) for name, text in ACCESS_KEY_VARIABLES.items()}
    access_key = make_access_key(**given)
    try:
        settings = Settings(processing_seconds=options.processing_seconds)
        listener = listen(options.host, options.port)
    except (SettingsError, OSError) as error:
        return _fail(f"Can't start: {error}")
    server = build_server(
        create_app(api_key=key, access_key=access_key, settings=settings, allow_remote=options.allow_remote),
        log_level=options.log_level,
        configure_logging=True,
    )
    # uvicorn shuts down on these and then raises them once more for the handlers that were there before it:
    # with ours, that second time is not the end of the process.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    with listener:
        print(f"Audiences emulator at {address_of(listener)}", flush=True)
        if given_key is None:
            print(f"API key: {key}", flush=True)
        if not given["access_key_id"]:
            print(f"AccessKey id: {access_key.access_key_id}", flush=True)
        if not given["access_key_secret"]:
            print(f"AccessKey secret: {access_key.access_key_secret}", flush=True)
        asyncio.run(server.serve(sockets=[listener]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
