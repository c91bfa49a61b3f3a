"""
Serves the files of the page Audiences, and nothing else.

The files hold no data, so they need no login, as those of Airflow's own pages. The page asks Airflow's REST API for all
that it shows, with the session of whoever looks at it: Airflow decides what each user may see.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]

FOLDER = Path(__file__).with_name("static")
"""The page's files."""

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
        from starlette.staticfiles import StaticFiles

        return StaticFiles(directory=FOLDER, html=True)
