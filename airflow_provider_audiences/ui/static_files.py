"""
Serves the files of the page Audiences, and the table of targets as one more, and nothing else.

The files hold no data, so they need no login, as those of Airflow's own pages. The page asks Airflow's REST API for all
that it shows, with the session of whoever looks at it: Airflow decides what each user may see.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]

FOLDER = Path(__file__).with_name("static")
"""The page's files."""

TABLE = "js/targets_table.js"
"""Path of the file that is made of the table of targets."""

HEADERS = {
    # No script, style or picture from anywhere else, none inside the page, and no frame of another site around it.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    # The browser asks each time whether a file has changed, so that an upgrade shows at once.
    "cache-control": "no-cache",
}
"""Added to each reply."""


class StaticPage:
    """
    The page as an ASGI application.

    The web framework is imported with the first request, as only the API server answers any.
    """

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """
        Answer a request.

        :param scope: the request, as ASGI describes it.
        :param receive: function that returns the request's next message.
        :param send: function that takes the reply's next message.
        """

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        await self._files(scope, receive, send_with_headers)

    @cached_property
    def _files(self) -> Callable[..., Awaitable[None]]:
        from starlette.responses import Response
        from starlette.staticfiles import StaticFiles

        class Files(StaticFiles):
            async def get_response(self, path: str, scope: Message) -> Response:
                if path == TABLE and scope["method"] in {"GET", "HEAD"}:
                    return Response(targets_table(), media_type="text/javascript")
                return await super().get_response(path, scope)

        return Files(directory=FOLDER, html=True)


def targets_table() -> str:
    """Return the table of targets as a module of the page: titles, and each platform's kinds."""
    from airflow_provider_audiences.common.targets import platforms, target_kinds

    tables = {
        "PLATFORMS": {platform.name: platform.title for platform in platforms()},
        "KINDS": {
            platform.name: {kind.name: kind.title for kind in target_kinds() if kind.platform == platform}
            for platform in platforms()
        },
        "FOLDERS": {
            platform.name: {kind.folder: kind.name for kind in target_kinds() if kind.platform == platform}
            for platform in platforms()
        },
    }
    return "".join(f"export const {name} = {json.dumps(table)};\n" for name, table in tables.items())
