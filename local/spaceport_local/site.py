"""The web app, served by the engine itself: one origin for the page, the API and the results, as a site has.

On AWS CloudFront serves the same files from a bucket (template.yaml), with the same headers. The engine knows
no such thing as a file beside its services, so this stands before it; whatever is not the app's goes through.
"""

from __future__ import annotations

import asyncio
import json
import mimetypes
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import BotoCoreError, ClientError

from spaceport.tuning import Preset
from spaceport_local.endpoint import HOST, Endpoint

PATH = "/_app/"  # no bucket can have such a name, so the engine has nothing there
FOLDER, API_DOCUMENT, CONFIG = "web", "docs/openapi.json", "config.json"
NEEDED = {"ApiId", "WebSocketApiId", "UserPoolId", "UserPoolClientId", "DataBucket"}
OUTPUTS_LIFE_S = 2.0  # of the stack's outputs: `spaceport up` may change them while a page is open
# The page's own scripts and styles, and nothing of anybody else's. Socket and API are this engine's; a page
# that asks for them by `localhost` is sent to the address that they have. What links show is the API's.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:{api}; media-src 'self'; "
    "connect-src 'self' {sockets}; frame-src 'self'{api}; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass
class Site:
    """An ASGI application: the web app below PATH, and `engine` for all else.

    Attributes:
        outputs: reads the stack's outputs; empty while there is none.
    """

    engine: App
    project: Path
    endpoint: Endpoint
    outputs: Callable[[], Mapping[str, str]]
    _known: tuple[float, Mapping[str, str]] = field(default=(float("-inf"), {}), init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = _asked(scope)
        if asked is None:
            await self.engine(scope, receive, send)
        elif asked.host != HOST or not asked.path.startswith(PATH):
            await _respond(send, 307, b"", {"location": f"{self.endpoint.url}{PATH}"})
        else:
            await self._serve(asked.path.removeprefix(PATH), send)

    async def _serve(self, name: str, send: Send) -> None:
        file = self._file(name)
        if name == CONFIG:
            outputs = await asyncio.to_thread(self._outputs)
            status, body = (200, _config(self.endpoint, outputs)) if outputs.keys() >= NEEDED else (503, b"")
            await self._answer(send, status, body, "application/json")
        elif file is None:
            await self._answer(send, 404, b"There is nothing here.\n", "text/plain")
        else:
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            await self._answer(send, 200, await asyncio.to_thread(file.read_bytes), kind)

    def _file(self, name: str) -> Path | None:
        """The file that the app calls `name`; None for anything else."""
        if name == PurePosixPath(API_DOCUMENT).name:
            return self.project / API_DOCUMENT
        folder = (self.project / FOLDER).resolve()
        file = (folder / (name or "index.html")).resolve()
        return file if file.is_file() and file.is_relative_to(folder) else None

    def _outputs(self) -> Mapping[str, str]:
        read_at, outputs = self._known
        if time.monotonic() - read_at > OUTPUTS_LIFE_S:
            try:
                outputs = self.outputs()
            except (BotoCoreError, ClientError):
                outputs = {}
            self._known = (time.monotonic(), outputs)
        return outputs

    async def _answer(self, send: Send, status: int, body: bytes, kind: str) -> None:
        policy = POLICY.format(api="", sockets=self.endpoint.url.replace("http", "ws", 1))
        await _respond(
            send,
            status,
            body,
            {
                "content-type": f"{kind}; charset=utf-8" if kind.startswith("text/") else kind,
                "content-security-policy": policy,
                "cache-control": "no-cache",  # the files are the checkout's: they change under it
                "referrer-policy": "no-referrer",
                "x-content-type-options": "nosniff",
                "cross-origin-opener-policy": "same-origin",
            },
        )


def _config(endpoint: Endpoint, outputs: Mapping[str, str]) -> bytes:
    """`config.json`, as `publish-web` writes it for a stack on AWS; addresses of this origin are paths."""
    config = {
        "apiUrl": endpoint.api_url(outputs["ApiId"], "prod").removeprefix(endpoint.url),
        "webSocketUrl": endpoint.websocket(outputs["WebSocketApiId"], "prod"),
        "cognitoUrl": "/",
        "userPoolId": outputs["UserPoolId"],
        "userPoolClientId": outputs["UserPoolClientId"],
        "resultsUrl": f"/{outputs['DataBucket']}",
        "handsOver": True,  # `spaceport open` signs in by a link
        "signInHint": "On this machine `spaceport open` signs you in.",
        "preset": Preset.PREVIEW.value,  # a machine of one's own mostly has no GPU for more
    }
    return json.dumps(config).encode()


@dataclass(frozen=True)
class _Asked:
    """A request that is for the app."""

    path: str
    host: str


def _asked(scope: Scope) -> _Asked | None:
    """What `scope` asks of the app: anything below PATH, and `/` for a person, not for S3's buckets."""
    if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
        return None
    headers = {name.decode("latin1").lower(): value.decode("latin1") for name, value in scope["headers"]}
    path = unquote(scope["path"])
    is_person = path == "/" and not scope["query_string"] and "text/html" in headers.get("accept", "")
    if not (is_person or path == PATH.rstrip("/") or path.startswith(PATH)):
        return None
    return _Asked(path, headers.get("host", "").partition(":")[0])


async def _respond(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    listed = {**headers, "content-length": str(len(body))}
    raw = [(name.encode("latin1"), value.encode("latin1")) for name, value in listed.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
