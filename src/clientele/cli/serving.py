"""Serving an ASGI application from the command line, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Annotated, Any, TypeAlias

import typer

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"*"),
    (b"access-control-allow-headers", b"*"),
    (b"access-control-allow-private-network", b"true"),
    (b"access-control-expose-headers", b"*"),
]
"""What lets the page of any other server read the answers in a browser."""

PANEL = "Server"
HOST = Annotated[
    str, typer.Option("--host", metavar="ADDRESS", help="The address to listen on.", rich_help_panel=PANEL)
]


class CutConnection(Exception):
    """An application raises it to break the connection off, in the middle of an answer."""


def serve(application: Application, host: str, port: int, describe: Callable[[str], str]) -> None:
    """Serve an application until Ctrl-C or SIGTERM.

    Parameters:
        host: The address to listen on.
        port: The port; 0 for a free one.
        describe: Gives, for the URL of the server, what is printed when it listens.

    Raises:
        typer.BadParameter: The address cannot be listened on.
    """
    import uvicorn

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        cure = "another program listens there; name another port, or 0 for a free one"
        problem = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise typer.BadParameter(f"{host} port {port}: {problem}; {cure}") from None
    with listener:
        bound = listener.getsockname()[1]
        name = f"[{host}]" if family == socket.AF_INET6 else host
        typer.echo(describe(f"http://{name}:{bound}"))
        # The access log would be in the way, and a connection that is cut by intent is no error worth a traceback.
        config = uvicorn.Config(
            application,
            log_level="critical",
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)  # Ctrl-C is how a server ends, and no failure
        with contextlib.suppress(KeyboardInterrupt):  # which uvicorn raises once it has shut down
            server.run(sockets=[listener])


async def send_while_connected(receive: Receive, sending: Coroutine[Any, Any, None]) -> None:
    """Send an answer, and stop when the client is gone."""
    answer, gone = asyncio.create_task(sending), asyncio.create_task(_until_gone(receive))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            answer.result()
    finally:
        for task in (answer, gone):
            task.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a complete answer."""
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *CORS]})
    await send({"type": "http.response.body", "body": body})


async def respond_text(send: Send, status: int, text: str, headers: Headers | None = None) -> None:
    """Send a text."""
    await respond(send, status, [(b"content-type", b"text/plain; charset=utf-8"), *(headers or [])], text.encode())


async def respond_preflight(send: Send) -> None:
    """Answer the question of a browser whether a page may send its request (the Fetch standard, section 3.2.2)."""
    await respond(send, 204, [(b"access-control-max-age", b"600")], b"")


def is_preflight(scope: Scope) -> bool:
    """Whether a request is such a question."""
    return scope["method"] == "OPTIONS" and any(
        name == b"access-control-request-method" for name, _ in scope["headers"]
    )


def header(scope: Scope, name: str) -> str | None:
    """A header of a request, as text; event ids come in UTF-8."""
    values = [value for key, value in scope["headers"] if key == name.lower().encode()]
    return values[-1].decode("utf-8", "replace") if values else None
