"""A fake server: it answers all calls of a client, without a network and in virtual time.

`fake` replaces the httpx2 clients under the endpoints that are already declared. The new ones have the same settings,
and transports that ask the fake server. Each route has answers, which it gives one after another.
"""

from __future__ import annotations

import functools
import inspect
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, quote

import httpx2

from ..api import APIClient
from ..content import media_type
from ..endpoints.call import CALL, Call
from ..endpoints.request import JSON, URLENCODED, PathTemplate
from ..endpoints.response import CompleteResult
from ..headers import HeaderTypes, checked_headers
from ..http_clients import HTTPClients
from ..redaction import excerpt, printable_url, request_url
from ..validation import is_number
from .clock import VirtualClock
from .script import Writer, is_script, json_of
from .stand_in import StandIn
from .transport import FakeTransport, Reply

_SAFE = "/:@!$&'()*+,;=~%-._[]"  # what stands in a URL as it is
_BODY_LENGTH = 200  # of what messages show of a body, in characters


class UnexpectedRequest(AssertionError):
    """A request has no answer, or an answer was never requested."""


@dataclass(frozen=True)
class Request:
    """A request that a fake server has received.

    Attributes:
        method: The HTTP method.
        url: The URL.
        headers: The headers.
        content: The body, as it was sent.
        endpoint: The endpoint that was called; `None` for a call without a declaration.
        attempt: The number of this attempt of the call, from 1. Retries and reconnects count, redirects do not.
    """

    method: str
    url: httpx2.URL
    headers: httpx2.Headers
    content: bytes = field(repr=False)
    endpoint: Callable[..., Any] | None
    attempt: int

    @property
    def body(self) -> Any:
        """The body, parsed: JSON, the fields of a form as a dict, text; bytes as they are; `None` if it is empty."""
        label = media_type(self.headers.get("Content-Type", ""))
        if not self.content:
            return None
        if label == JSON or label.endswith("+json"):
            return httpx2.Response(200, content=self.content).json()
        if label == URLENCODED:
            return _as_dict(parse_qsl(self.content.decode(), keep_blank_values=True))
        try:
            return self.content.decode() if not label or label.startswith("text/") else self.content
        except UnicodeDecodeError:
            return self.content

    @property
    def query(self) -> dict[str, str | list[str]]:
        """The query parameters, those that come more than once as lists."""
        return _as_dict(self.url.params.multi_items())

    def __str__(self) -> str:
        body = excerpt(self.content.decode("utf-8", "replace"))[:_BODY_LENGTH]
        return f"{self.method} {printable_url(self.url)}" + (f" {body}" if body else "")


@dataclass
class _Answer:
    """One answer of a route.

    Attributes:
        shown: What messages call it.
        reply: Makes the reply of a request.
        times: How often it is given; `None`: once, or for ever if it is the last.
        is_used_up: Whether giving it uses it up: an iterator.
        given: How often it has been.
    """

    shown: str
    reply: Callable[[Request, Call], Reply]
    times: int | None
    is_used_up: bool = False
    given: int = 0


class Route:
    """The answers of a fake server to some requests: one after another, the last one repeatedly.

    Attributes:
        calls: The requests that it has answered.
    """

    def __init__(self, name: str, target: Any, matches: Callable[[httpx2.Request, Call], bool]) -> None:
        self.calls: list[Request] = []
        self._name = name
        self._target = target
        self._matches = matches
        self._answers: list[_Answer] = []

    def returns(
        self,
        value: Any = None,
        *,
        status: int = 200,
        headers: HeaderTypes | None = None,
        delay: float = 0.0,
        times: int | None = None,
    ) -> Self:
        """Answer with a complete response.

        ```python
        server.on(get_user).returns(status=503, headers={"Retry-After": "1"}, times=2).returns(User(name="Ann"))
        ```

        Parameters:
            value: The body. Models, dicts and lists are sent as JSON, bytes as they are. Text is sent as JSON if the
                endpoint expects it, unless an error status or a `Content-Type` says otherwise. An `httpx2.Response` is
                sent as it is. A function receives the `Request` and returns any of these. Default: an empty body.
            status: The status. Default 200.
            headers: Headers of the response. Default: none.
            delay: The virtual seconds before the response. Default 0.
            times: How often to give this answer. Default: once; the last answer of a route repeats.

        Returns:
            The route, for the next answer.
        """
        given = checked_headers(headers)

        def reply(request: Request, call: Call) -> Reply:
            made = _not_awaitable(value(request)) if _is_function(value) else value
            if isinstance(made, Exception):
                return Reply(delay, made)
            if isinstance(made, httpx2.Response):
                return Reply(delay, None, made.status_code, made.headers, [made.read()])
            content, label = _content(made, call, is_text=status >= 400 or "Content-Type" in given)
            own = httpx2.Headers({"Content-Type": label} if label else {})
            own["Content-Length"] = str(len(content))
            own.update(given)
            return Reply(delay, None, status, own, [content])

        what = "" if value is None else excerpt(repr(value))[:_BODY_LENGTH]
        shown = ", ".join(filter(None, [what, f"status={status}" if status != 200 else "", _shown("delay", delay)]))
        return self._then(f"returns({shown})", reply, times)

    def raises(
        self, error: Exception | Callable[..., Exception], *, delay: float = 0.0, times: int | None = None
    ) -> Self:
        """Answer with an exception of the connection.

        ```python
        server.on(get_user).raises(testing.connection_refused(), times=2).returns(User(name="Ann"))
        ```

        Parameters:
            error: An exception, or a function that makes one: `connection_refused()`, `connection_reset()`,
                `connect_timeout()`, or any of httpx2. A timeout is raised when the request's own timeout has passed.
            delay: The virtual seconds before the exception. Default 0.
            times: How often to give this answer. Default: once; the last answer of a route repeats.

        Returns:
            The route, for the next answer.
        """
        made: Any = error
        if isinstance(error, type) and issubclass(error, httpx2.RequestError):
            made = error(error.__name__)
        elif callable(error):
            made = error()
        if not isinstance(made, Exception):
            raise TypeError(f"raises({error!r}): it is an exception")
        return self._then(f"raises({made!r})", lambda request, call: Reply(delay, made), times)

    def streams(
        self,
        *script: Any,
        status: int = 200,
        headers: HeaderTypes | None = None,
        delay: float = 0.0,
        times: int | None = None,
    ) -> Self:
        """Answer with a stream.

        ```python
        server.on(stream_events).streams(Event(text="a"), testing.wait(30), Event(text="b"), testing.cut("reset"))
        ```

        Parameters:
            *script: The steps: items, in the format that the endpoint reads, `event`, `comment`, `raw`, `wait`, `cut`,
                `stall`, a `Log`. Or one iterable of steps. Or a function, of the `Request` or of nothing, that returns
                one; it is called for each answer.
            status: The status. Default 200.
            headers: Headers of the response. Default: none.
            delay: The virtual seconds before the head of the response. Default 0.
            times: How often to give this answer. Default: once; the last answer of a route repeats.

        Returns:
            The route, for the next answer.
        """
        given = checked_headers(headers)
        steps: Any = script
        if len(script) == 1 and (_is_function(script[0]) or is_script(script[0])):
            steps = script[0]
        if any(hasattr(each, "__aiter__") for each in (steps, *script)):
            raise TypeError("a script is no asynchronous iterator; the same one serves both sides")

        def reply(request: Request, call: Call) -> Reply:
            made: Iterable[Any] = _not_awaitable(_called(steps, request)) if _is_function(steps) else steps
            writer = Writer(call.plan.result)
            own = httpx2.Headers({"Content-Type": writer.content_type, "Transfer-Encoding": "chunked"})
            own.update(given)
            last_event_id = request.headers.raw and dict(request.headers.raw).get(b"Last-Event-ID", b"").decode()
            return Reply(delay, None, status, own, writer.actions(made, last_event_id or ""))

        shown = excerpt(", ".join(map(repr, script)))[:_BODY_LENGTH]
        is_used_up = isinstance(steps, Iterator)
        return self._then(f"streams({shown})", reply, times or (1 if is_used_up else None), is_used_up=is_used_up)

    def _then(
        self, shown: str, reply: Callable[[Request, Call], Reply], times: int | None, *, is_used_up: bool = False
    ) -> Self:
        if times is not None and not is_number(times, int):
            raise ValueError(f"times is {times!r}; it is a number above 0, or None")
        self._answers.append(_Answer(shown, reply, times, is_used_up))
        return self

    def _next(self) -> _Answer | None:
        for answer in self._answers:
            is_last = answer is self._answers[-1]
            if answer.given < (answer.times or (float("inf") if is_last else 1)):
                return answer
        return None

    def _unused(self) -> list[str]:
        return [f"{self._name}: {each.shown}" for each in self._answers if each.given < (each.times or 1)]

    def _told(self) -> Iterator[str]:
        yield self._name + ("" if self._answers else ": no answers")
        for answer in self._answers:
            often = "" if answer.times is None else f" of {answer.times}"
            yield f"    {answer.shown}: given {answer.given}{often} times"


class FakeServer(StandIn):
    """A server that answers all calls of a client. `fake` makes it; enter it with `with` or `async with`.

    Attributes:
        client: The client.
        requests: The requests that it has received, in order.
        clock: Its virtual clock: `server.clock.elapsed` is in seconds, `server.clock.advance(5)` adds 5.
    """

    def __init__(self, client: APIClient) -> None:
        super().__init__(client)
        self.client = client
        self.requests: list[Request] = []
        self.clock = VirtualClock()
        self._routes: list[Route] = []
        self._any: Route | None = None  # of what those do not answer
        self._unexpected: list[str] = []
        self._attempts: list[list[Any]] = []  # calls, and how many requests they have made
        self._lock = threading.RLock()

    def on(self, target: Callable[..., Any] | str, path: str | None = None, /) -> Route:
        """The route of an endpoint, or of a method and a path.

        ```python
        server.on(get_user)
        server.on("GET", "/users/{user_id}")
        ```

        Parameters:
            target: An endpoint of the client, or an HTTP method.
            path: With a method: a path below `base_url`, or a whole URL. A placeholder stands for one segment,
                `{name:path}` for several. A query in it must be part of the request's query.

        Returns:
            The route; the same one for the same arguments.

        Raises:
            TypeError: `target` is no endpoint of the client, or the path is missing.
        """
        if isinstance(target, str):
            if not isinstance(path, str):
                raise TypeError(f"a path belongs to a method: server.on({target!r}, '/users')")
            name = key = f"{target.upper()} {path}"
            matches = _path_matcher(target, path)
        else:
            key = _endpoint_of(target, self._clients)
            name, matches = f"{key.__qualname__.rpartition('<locals>.')[2]}()", _endpoint_matcher(key)
        with self._lock:
            route = next((each for each in self._routes if each._target is key or each._target == key), None)
            if route is None:
                route = Route(name, key, matches)
                self._routes.append(route)
        return route

    def on_any(self) -> Route:
        """The route of all requests that no other route answers."""
        with self._lock:
            if self._any is None:
                self._any = Route("any request", None, lambda request, call: True)
        return self._any

    def assert_all_used(self) -> None:
        """Raise `UnexpectedRequest` if an answer was never requested, or a request had no answer."""
        unused = [each for route in self._all_routes() for each in route._unused()]
        if unused or self._unexpected:
            problems = [f"not asked for: {each}" for each in unused] + [
                f"not answered: {each}" for each in self._unexpected
            ]
            raise UnexpectedRequest(self._message("\n".join(problems)))

    def _made(self, clients: HTTPClients) -> HTTPClients:
        transport = FakeTransport(self.clock, self._reply)
        return clients.replaced(transport, transport, self.clock)

    def _reply(self, sent: httpx2.Request, content: bytes) -> Reply:
        call, first_url = sent.extensions[CALL]
        with self._lock:
            request = Request(
                sent.method, sent.url, sent.headers, content, call.endpoint, self._attempt(call, sent.url == first_url)
            )
            self.requests.append(request)
            matching = [route for route in self._all_routes() if route._matches(sent, call)]
            for route in matching:
                if (answer := route._next()) is not None:
                    answer.given += 1
                    route.calls.append(request)
                    break
            else:
                self._unexpected.append(str(request))
                used = "its answers are used up" if matching else "no route is for it"
                if any(answer.is_used_up for route in matching for answer in route._answers):
                    used += " (an iterator is given once; pass a function that makes one)"
                raise UnexpectedRequest(self._message(f"a request came, and {used}: {request}"))
        return answer.reply(request, call)

    def _all_routes(self) -> list[Route]:
        return [*self._routes, *filter(None, [self._any])]

    def _attempt(self, call: Call, is_new: bool) -> int:
        for known in self._attempts:
            if known[0] is call:
                known[1] += is_new
                return int(known[1])
        self._attempts.append([call, 1])
        return 1

    def _message(self, problem: str) -> str:
        routes = [line for route in self._all_routes() for line in route._told()] or [
            "none: server.on(endpoint).returns(...)"
        ]
        came = [f"{number}. {request}" for number, request in enumerate(self.requests, 1)] or ["none"]
        return "\n".join(
            [problem, "routes:", *(f"    {each}" for each in routes), "requests:", *(f"    {each}" for each in came)]
        )


def fake(client: APIClient) -> FakeServer:
    """Answer all calls of a client, without a network.

    ```python
    with testing.fake(client) as server:
        server.on(get_user).returns(User(name="Ann"))
        assert get_user(5).name == "Ann"
    ```

    It answers endpoints and direct calls, synchronous and asynchronous, in all threads and event loops. Fakes can be
    nested; leaving one restores what was before. A request without an answer raises `UnexpectedRequest`.

    Parameters:
        client: The client whose calls are answered.

    Returns:
        The server, to be entered with `with` or `async with`.
    """
    return FakeServer(client)


def fixture(client: APIClient, *, assert_all_used: bool = True) -> Callable[[], Iterator[FakeServer]]:
    """Make a pytest fixture of `fake(client)`. It needs no plugin.

    ```python
    server = testing.fixture(client)

    def test_the_name_is_shown(server):
        server.on(get_user).returns(User(name="Ann"))
    ```

    Parameters:
        client: The client whose calls are answered.
        assert_all_used: Whether a test fails that leaves answers unused. Default `True`.

    Returns:
        The fixture; assign it to the name that your tests use.
    """
    import pytest  # of whoever calls this

    def server() -> Iterator[FakeServer]:
        with fake(client) as entered:
            yield entered
        if assert_all_used:
            entered.assert_all_used()

    made: Callable[[], Iterator[FakeServer]] = pytest.fixture(server)
    return made


class forbid_network:  # noqa: N801
    """Refuse every request that would use the network, with `UnexpectedRequest`.

    ```python
    testing.forbid_network()  # in conftest.py: for all tests
    ```

    It holds from the call on; with `with`, until the block ends. Clients that are faked, or have a transport that uses
    no network, are not affected.
    """

    def __init__(self) -> None:
        self._before = HTTPClients.refuse
        HTTPClients.refuse = staticmethod(_refuse)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        HTTPClients.refuse = self._before


def _refuse(request: httpx2.Request) -> None:
    cure = "answer it with testing.fake(client), or give the client a transport"
    raise UnexpectedRequest(f"{request.method} {request_url(request)}: the network is forbidden here; {cure}")


def connection_refused() -> httpx2.ConnectError:
    """The exception of a connection that is refused, because no server listens."""
    return httpx2.ConnectError("connection refused")


def connection_reset() -> httpx2.ReadError:
    """The exception of a connection that breaks before the response."""
    return httpx2.ReadError("the connection was reset")


def connect_timeout() -> httpx2.ConnectTimeout:
    """The exception of a connect timeout, which passes in virtual time."""
    return httpx2.ConnectTimeout("connecting took too long")


def _endpoint_of(function: Any, clients: HTTPClients) -> Any:
    endpoint, own_clients, _ = getattr(function, "__clientele__", (None, None, None))
    if endpoint is None:
        raise TypeError(f"{function!r} is no endpoint; pass one, or a method and a path: server.on('GET', '/users')")
    if own_clients is not clients:
        raise TypeError(f"{function!r} is an endpoint of another client than the one that is faked")
    return endpoint


def _endpoint_matcher(endpoint: Any) -> Callable[[httpx2.Request, Call], bool]:
    def matches(request: httpx2.Request, call: Call) -> bool:
        return call.endpoint is endpoint and request.url == request.extensions[CALL][1]

    return matches


def _path_matcher(method: str, path: str) -> Callable[[httpx2.Request, Call], bool]:
    template = PathTemplate(path.lstrip("/"))
    query = set(httpx2.QueryParams(path.partition("?")[2]).multi_items())
    segments = {None: "", False: "[^/]+", True: ".+"}
    pattern = "".join(
        re.escape(quote(text, safe=_SAFE)) + segments[None if name is None else keeps_slashes]
        for text, name, keeps_slashes in template.pieces
    )

    def matches(request: httpx2.Request, call: Call) -> bool:
        url = str(request.url.copy_with(query=None, fragment=None))
        if not template.is_url:
            base = call.base_url or str(request.url.copy_with(raw_path=b"/", fragment=None))
            if not url.startswith(base):
                return False
            url = url.removeprefix(base).lstrip("/")
        is_same = request.method == method.upper() and re.fullmatch(pattern, url) is not None
        return is_same and query <= set(request.url.params.multi_items())

    return matches


def _content(value: Any, call: Call, *, is_text: bool) -> tuple[bytes, str]:
    """The body for a value, and its content type. Text stays text in errors, and with another content type."""
    if value is None:
        return b"", ""
    if isinstance(value, bytes | bytearray):
        return bytes(value), "application/octet-stream"
    result = call.plan.result
    expects_json = isinstance(result, CompleteResult) and result.expects_json
    if isinstance(value, str) and (is_text or not expects_json):
        return value.encode(), "text/plain; charset=utf-8"
    return json_of(value), JSON


def _is_function(value: Any) -> bool:
    return inspect.isroutine(value) or isinstance(value, functools.partial)


def _called(function: Callable[..., Any], request: Request) -> Any:
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return function(request)
    return function()


def _not_awaitable(value: Any) -> Any:
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError("the function of an answer is a plain one, which serves both sides; it returned a coroutine")
    return value


def _as_dict(pairs: Sequence[tuple[str, str]]) -> dict[str, str | list[str]]:
    found: dict[str, str | list[str]] = {}
    for name, value in pairs:
        before = found.get(name)
        found[name] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
    return found


def _shown(name: str, value: float) -> str:
    return f"{name}={value:g}" if value else ""
