"""Endpoints that yield: the request is sent when iteration begins, and however it is left, nothing stays open."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import textwrap
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Annotated, Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import httpx2
import pytest
from tests import fakes
from tests.fakes import Recorder
from tests.scripts import run_script
from tests.servers import END as END_OF_BODY
from tests.servers import EVENT_STREAM, Connection, RawServer, answer, chunk, events
from tests.sides import RUNNERS, Side

from clientele import api

pytestmark = pytest.mark.every_python

ENDED = object()
"""What a `Driver` gives for the end of the iteration."""


class Driver:
    """Takes a generator's steps one by one, in a thread of its own if the generator is asynchronous."""

    def __init__(self, side: Side, portal: anyio.from_thread.BlockingPortal | None) -> None:
        self.side = side
        self.portal = portal

    def declare(self, client: api.APIClient, log: list[Any], **options: Any) -> Callable[..., Any]:
        """An endpoint that yields a stream's numbers, and takes down what happens to it."""
        return declare(client, log, **options)[0 if self.side.is_sync else 1]

    def next(self, generator: Any) -> Any:
        return self.send(generator, None)

    def send(self, generator: Any, value: Any) -> Any:
        return self._step(lambda: generator.send(value) if self.side.is_sync else generator.asend(value))

    def throw(self, generator: Any, error: BaseException) -> Any:
        return self._step(lambda: generator.throw(error) if self.side.is_sync else generator.athrow(error))

    def close(self, generator: Any) -> None:
        self._step(lambda: generator.close() if self.side.is_sync else generator.aclose())

    def rest(self, generator: Any) -> list[Any]:
        return list(iter(lambda: self.next(generator), ENDED))

    def _step(self, step: Callable[[], Any]) -> Any:
        async def astep() -> Any:
            try:
                return await step()
            except StopAsyncIteration:
                return ENDED

        if self.portal is not None:
            return self.portal.call(astep)
        try:
            return step()
        except StopIteration:
            return ENDED


@pytest.fixture
def driver(side: Side) -> Iterator[Driver]:
    if side.is_sync:
        yield Driver(side, None)
        return
    with anyio.from_thread.start_blocking_portal(side.name) as portal:
        yield Driver(side, portal)


def declare(client: api.APIClient, log: list[Any], **options: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    @client.get("/{name}", streaming_response=True, **options)
    def numbers(name: str = "a", *, result: Iterator[int]) -> Generator[int, str | None, None]:
        try:
            for number in result:
                try:
                    sent = yield number
                except KeyError as error:
                    sent = repr(error)
                if sent is not None:
                    log.append(sent)
        finally:
            log.append("finally")

    @client.get("/{name}", streaming_response=True, **options)
    async def anumbers(name: str = "a", *, result: AsyncIterator[int]) -> AsyncGenerator[int, str | None]:
        try:
            async for number in result:
                try:
                    sent = yield number
                except KeyError as error:
                    sent = repr(error)
                if sent is not None:
                    log.append(sent)
        finally:
            log.append("finally")

    return numbers, anumbers


class Wire(Recorder):
    """A client that gets three numbers as the answer to everything."""

    def __init__(self) -> None:
        super().__init__(b"data: 1\n\ndata: 2\n\ndata: 3\n\n", "text/event-stream")
        self.server.on("GET", "/busy").returns("busy", status=503)


@pytest.fixture
def wire() -> Wire:
    return Wire()


async def send_two_and_wait(connection: Connection) -> None:
    await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n") + chunk(b"data: 2\n\n"))
    await connection.until_client_closes()


class TestIteration:
    def test_the_request_is_sent_when_iteration_begins_and_not_before(self, driver, wire):
        generator = driver.declare(wire.client, [])("b")
        assert wire.requests == []
        assert driver.next(generator) == 1
        assert [str(request.url) for request in wire.requests] == ["http://test/b"]
        assert driver.rest(generator) == [2, 3]
        assert len(wire.requests) == 1

    def test_each_call_is_a_request_of_its_own(self, driver, wire):
        numbers = driver.declare(wire.client, [])
        first, second = numbers("b"), numbers("c")
        assert driver.next(second) == driver.next(first) == 1
        assert driver.rest(first) == driver.rest(second) == [2, 3]
        assert [request.url.path for request in wire.requests] == ["/c", "/b"]

    def test_an_item_is_yielded_before_the_next_byte_is_sent(self, driver, serve):
        received = threading.Event()

        async def send_after_receipt(connection: Connection) -> None:
            await connection.send(EVENT_STREAM)
            for number in (b"1", b"2", b"3"):
                await connection.send(chunk(b"data: %s\n\n" % number))
                assert await asyncio.to_thread(received.wait, 10)
                received.clear()
            await connection.send(END_OF_BODY)

        generator = driver.declare(api.APIClient(base_url=serve(send_after_receipt).url), [])()
        for number in (1, 2, 3):
            assert driver.next(generator) == number
            received.set()
        assert driver.next(generator) is ENDED

    def test_a_generator_that_is_never_iterated_sends_nothing(self, driver, wire):
        log: list[Any] = []
        generator = driver.declare(wire.client, log)()
        del generator
        gc.collect()  # whatever it might warn of is an error here
        closed = driver.declare(wire.client, log)()
        driver.close(closed)
        assert driver.next(closed) is ENDED
        assert wire.requests == log == []

    def test_an_exhausted_generator_stays_exhausted(self, driver, wire):
        log: list[Any] = []
        generator = driver.declare(wire.client, log)()
        assert driver.rest(generator) == [1, 2, 3]
        assert [driver.next(generator), driver.next(generator)] == [ENDED, ENDED]
        driver.close(generator)
        assert driver.next(generator) is ENDED
        assert log == ["finally"]
        assert len(wire.requests) == 1

    def test_the_arguments_are_checked_at_the_call(self, driver, wire):
        numbers = driver.declare(wire.client, [])
        with pytest.raises(TypeError, match=r"numbers\(\) got an unexpected keyword argument 'nam'"):
            numbers(nam="a")
        with pytest.raises(TypeError, match=r"numbers\(\) too many positional arguments"):
            numbers("a", "b")
        assert wire.requests == []

    def test_the_errors_of_the_request_raise_at_the_first_step_and_end_it(self, driver, wire):
        generator = driver.declare(wire.client, [])("busy")
        with pytest.raises(api.HTTPStatusError, match="503 Service Unavailable: busy"):
            driver.next(generator)
        assert [driver.next(generator), driver.next(generator)] == [ENDED, ENDED]
        assert len(wire.requests) == 1

    def test_so_does_a_refused_connection(self, driver, free_tcp_port):
        client = api.APIClient(base_url=f"http://127.0.0.1:{free_tcp_port}")
        log: list[Any] = []
        generator = driver.declare(client, log)()
        with pytest.raises(api.TransportError, match="could not connect"):
            driver.next(generator)
        assert driver.next(generator) is ENDED
        assert log == []

    def test_a_value_that_cannot_be_sent_is_refused_before_anything_is(self, driver, wire):
        @wire.client.get("/", streaming_response=True)
        def numbers(token: Annotated[str, api.Header()], *, result: Iterator[int]) -> Iterator[int]:
            yield from result

        @wire.client.get("/", streaming_response=True)
        async def anumbers(token: Annotated[str, api.Header()], *, result: AsyncIterator[int]) -> AsyncIterator[int]:
            async for number in result:
                yield number

        with pytest.raises(ValueError, match=r"the value of the header 'token' has an? "):
            driver.next((numbers if driver.side.is_sync else anumbers)("a\r\nb"))
        assert wire.requests == []

    def test_what_is_sent_reaches_the_body(self, driver, wire):
        log: list[Any] = []
        generator = driver.declare(wire.client, log)()
        assert driver.send(generator, None) == 1
        assert driver.send(generator, "first") == 2
        assert driver.send(generator, "second") == 3
        assert driver.send(generator, "third") is ENDED
        assert log == ["first", "second", "third", "finally"]

    def test_a_value_sent_before_the_first_item_is_a_type_error(self, driver, wire):
        generator = driver.declare(wire.client, [])()
        with pytest.raises(TypeError, match="just-started"):
            driver.send(generator, "early")
        driver.close(generator)

    def test_what_is_thrown_reaches_the_body_which_may_go_on(self, driver, wire):
        log: list[Any] = []
        generator = driver.declare(wire.client, log)()
        driver.next(generator)
        assert driver.throw(generator, KeyError("a")) == 2
        assert log == ["KeyError('a')"]
        with pytest.raises(ZeroDivisionError):
            driver.throw(generator, ZeroDivisionError())
        assert log == ["KeyError('a')", "finally"]
        assert driver.next(generator) is ENDED

    def test_what_is_thrown_before_the_first_step_comes_back_and_sends_nothing(self, driver, wire):
        log: list[Any] = []
        generator = driver.declare(wire.client, log)()
        with pytest.raises(KeyError, match="early"):
            driver.throw(generator, KeyError("early"))
        assert driver.next(generator) is ENDED
        assert wire.requests == log == []


class TestBody:
    """What the function's body may do."""

    def test_it_may_yield_a_complete_answer_bit_by_bit(self, driver, serve):
        server = serve(answer(b"[1, 2, 3]"))
        client = api.APIClient(base_url=server.url)

        @client.get("/")
        def squares(factor: int, *, result: list[int], response: httpx2.Response) -> Iterator[int]:
            assert response.status_code == 200
            for number in result:
                yield number * factor

        @client.get("/")
        async def asquares(factor: int, *, result: list[int], response: httpx2.Response) -> AsyncIterator[int]:
            assert response.status_code == 200
            for number in result:
                yield number * factor

        generator = (squares if driver.side.is_sync else asquares)(10)
        assert server.requests == []
        assert driver.rest(generator) == [10, 20, 30]
        assert [request.target for request in server.requests] == ["/?factor=10"]

    def test_a_complete_answer_that_does_not_fit_raises_at_the_first_step(self, driver):
        client = fakes.client_of(b'["x"]')

        @client.get("/")
        def numbers(*, result: list[int]) -> Iterator[int]:
            yield from result

        @client.get("/")
        async def anumbers(*, result: list[int]) -> AsyncIterator[int]:
            for number in result:
                yield number

        generator = (numbers if driver.side.is_sync else anumbers)()
        with pytest.raises(api.ResponseValidationError):
            driver.next(generator)
        assert driver.next(generator) is ENDED

    def test_the_options_of_streams_hold_for_it(self, driver, wire):
        generator = driver.declare(wire.client, [], until="3")()
        assert driver.rest(generator) == [1, 2]

    def test_it_may_be_a_method(self, driver, wire):
        class API:
            factor = 10

            @wire.client.get("/", streaming_response=True)
            def numbers(self, *, result: Iterator[int]) -> Iterator[int]:
                for number in result:
                    yield number * self.factor

            @wire.client.get("/", streaming_response=True)
            async def anumbers(self, *, result: AsyncIterator[int]) -> AsyncIterator[int]:
                async for number in result:
                    yield number * self.factor

        bound = API().numbers if driver.side.is_sync else API().anumbers
        assert driver.rest(bound()) == [10, 20, 30]
        assert str(inspect.signature(bound)).startswith("() -> ")

    def test_its_error_is_the_callers_and_closes_the_stream(self, driver, serve):
        server = serve(send_two_and_wait)
        client = api.APIClient(base_url=server.url)

        @client.get("/", streaming_response=True)
        def numbers(*, result: Iterator[int]) -> Iterator[float]:
            for number in result:
                yield 1 / (number - 2)

        @client.get("/", streaming_response=True)
        async def anumbers(*, result: AsyncIterator[int]) -> AsyncIterator[float]:
            async for number in result:
                yield 1 / (number - 2)

        generator = (numbers if driver.side.is_sync else anumbers)()
        assert driver.next(generator) == -1
        with pytest.raises(ZeroDivisionError):
            driver.next(generator)
        server.wait_until_closed()
        assert driver.next(generator) is ENDED

    def test_what_it_leaves_unread_is_closed_when_it_returns(self, driver, serve):
        server = serve(send_two_and_wait)
        client = api.APIClient(base_url=server.url)

        @client.get("/", streaming_response=True)
        def first(*, result: Iterator[int]) -> Iterator[int]:
            yield next(result)

        @client.get("/", streaming_response=True)
        async def afirst(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
            yield await anext(result)

        generator = (first if driver.side.is_sync else afirst)()
        assert driver.rest(generator) == [1]
        server.wait_until_closed()

    def test_an_error_of_the_stream_is_raised_within_it(self, driver, serve):
        async def break_off(connection: Connection) -> None:
            await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n"))
            connection.close()

        log: list[Any] = []
        generator = driver.declare(api.APIClient(base_url=serve(break_off).url), log)()
        assert driver.next(generator) == 1
        with pytest.raises(api.StreamInterrupted) as caught:
            driver.next(generator)
        assert caught.value.items_received == 1
        assert log == ["finally"]
        assert driver.next(generator) is ENDED

    def test_it_may_answer_an_error_of_the_stream(self, driver, serve):
        client = api.APIClient(base_url=serve(events("1", "x", "2")).url)

        @client.get("/", streaming_response=True)
        def numbers(*, result: Iterator[int]) -> Iterator[int | str]:
            try:
                yield from result
            except api.StreamDecodeError as error:
                yield error.event.data

        @client.get("/", streaming_response=True)
        async def anumbers(*, result: AsyncIterator[int]) -> AsyncIterator[int | str]:
            try:
                async for number in result:
                    yield number
            except api.StreamDecodeError as error:
                yield error.event.data

        assert driver.rest((numbers if driver.side.is_sync else anumbers)()) == [1, "x"]

    def test_an_error_in_its_closing_is_the_closers_and_the_stream_is_closed_all_the_same(self, driver, serve):
        server = serve(send_two_and_wait)
        client = api.APIClient(base_url=server.url)

        @client.get("/", streaming_response=True)
        def numbers(*, result: Iterator[int]) -> Iterator[int]:
            try:
                yield from result
            finally:
                raise ZeroDivisionError

        @client.get("/", streaming_response=True)
        async def anumbers(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
            try:
                async for number in result:
                    yield number
            finally:
                raise ZeroDivisionError

        generator = (numbers if driver.side.is_sync else anumbers)()
        driver.next(generator)
        with pytest.raises(ZeroDivisionError):
            driver.close(generator)
        server.wait_until_closed()
        assert driver.next(generator) is ENDED

    def test_one_that_will_not_be_closed_is_a_runtime_error_and_the_stream_is_closed(self, driver, serve):
        server = serve(send_two_and_wait)
        client = api.APIClient(base_url=server.url)

        @client.get("/", streaming_response=True)
        def numbers(*, result: Iterator[int]) -> Iterator[int]:
            try:
                yield from result
            finally:
                yield 3

        @client.get("/", streaming_response=True)
        async def anumbers(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
            try:
                async for number in result:
                    yield number
            finally:
                yield 3

        generator = (numbers if driver.side.is_sync else anumbers)()
        driver.next(generator)
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            driver.close(generator)
        server.wait_until_closed()
        if driver.side.is_sync:
            assert driver.rest(generator) == []

    def test_what_a_synchronous_one_returns_is_the_value_of_yield_from(self, wire):
        @wire.client.get("/", streaming_response=True)
        def numbers(*, result: Iterator[int]) -> Generator[int, None, str]:
            yield from result
            return "done"

        def around() -> Generator[int, None, None]:
            assert (yield from numbers()) == "done"

        assert list(around()) == [1, 2, 3]


class TestDeclaration:
    def test_what_the_call_gives_is_a_generator(self, wire):
        numbers, anumbers = declare(wire.client, [])
        assert isinstance(numbers(), Generator)
        assert isinstance(anumbers(), AsyncGenerator)

    def test_an_endpoint_that_yields_looks_like_its_function(self, wire):
        for endpoint in declare(wire.client, []):
            assert endpoint.__name__ in ("numbers", "anumbers")
            assert str(inspect.signature(endpoint)).startswith("(name: 'str' = 'a') -> ")

    def test_the_iterator_must_be_of_the_functions_kind(self, wire):
        async def anumbers(*, result: Iterator[int]) -> AsyncIterator[int]:
            yield 1

        def numbers(*, result: AsyncIterator[int]) -> Iterator[int]:
            yield 1

        with pytest.raises(TypeError, match=r"anumbers\(\): parameter 'result': .* declare AsyncIterator\[T\]"):
            wire.client.get("/", streaming_response=True)(anumbers)
        with pytest.raises(TypeError, match=r"numbers\(\): parameter 'result': .* declare Iterator\[T\]"):
            wire.client.get("/", streaming_response=True)(numbers)

    def test_a_type_that_is_defined_later_is_found_at_the_call(self, wire):
        @wire.client.get("/", streaming_response=True)
        def numbers(*, result: Iterator[Number]) -> Iterator[Number]:
            yield from result

        Number = Annotated[str, "as text"]
        assert list(numbers()) == ["1", "2", "3"]


def break_out(numbers) -> None:
    for _ in numbers():
        break


def fail(numbers) -> None:
    with pytest.raises(ZeroDivisionError):
        for _ in numbers():
            raise ZeroDivisionError


def drop(numbers) -> None:
    generator = numbers()
    next(generator)
    del generator


def close(numbers) -> None:
    generator = numbers()
    next(generator)
    generator.close()
    assert list(generator) == []


def leave_closing(numbers) -> None:
    with contextlib.closing(numbers()) as generator:
        next(generator)


def throw(numbers) -> None:
    generator = numbers()
    next(generator)
    with pytest.raises(ZeroDivisionError):
        generator.throw(ZeroDivisionError)


@pytest.mark.parametrize("leave", [break_out, fail, drop, close, leave_closing, throw])
def test_leaving_a_synchronous_generator_closes_it_and_its_stream(serve, leave):
    server = serve(send_two_and_wait)
    log: list[Any] = []
    numbers, _ = declare(api.APIClient(base_url=server.url), log)
    leave(numbers)
    assert log == ["finally"]
    server.wait_until_closed()


async def abreak_out(anumbers) -> None:
    async for _ in anumbers():
        break


async def afail(anumbers) -> None:
    with pytest.raises(ZeroDivisionError):
        async for _ in anumbers():
            raise ZeroDivisionError


async def adrop(anumbers) -> None:
    generator = anumbers()
    await anext(generator)
    del generator


async def adrop_in_another_thread(anumbers) -> None:
    generators = [anumbers()]
    await anext(generators[0])
    await anyio.to_thread.run_sync(generators.clear)


async def adrop_one_around_it(anumbers) -> None:
    async with contextlib.aclosing(item async for item in anumbers()) as around:
        await anext(around)


async def aclose(anumbers) -> None:
    generator = anumbers()
    await anext(generator)
    await generator.aclose()
    await generator.aclose()
    assert [item async for item in generator] == []


async def aleave_closing(anumbers) -> None:
    async with contextlib.aclosing(anumbers()) as generator:
        await anext(generator)


async def athrow(anumbers) -> None:
    generator = anumbers()
    await anext(generator)
    with pytest.raises(ZeroDivisionError):
        await generator.athrow(ZeroDivisionError)


async def be_cancelled_in_the_loop(anumbers) -> None:
    with anyio.CancelScope() as scope:
        async for _ in anumbers():
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught


async def be_cancelled_while_waiting(anumbers) -> None:
    generator = anumbers()
    with anyio.CancelScope() as scope:
        async for item in generator:
            if item == 2:
                scope.cancel()
    assert scope.cancelled_caught
    assert [item async for item in generator] == []


ASYNC_WAYS = [
    abreak_out,
    afail,
    adrop,
    adrop_in_another_thread,
    adrop_one_around_it,
    aclose,
    aleave_closing,
    athrow,
    be_cancelled_in_the_loop,
    be_cancelled_while_waiting,
]


# trio warns of every asynchronous generator that is dropped, and closes it in the end.
DROPPING = [abreak_out, afail, adrop, adrop_in_another_thread, adrop_one_around_it, be_cancelled_in_the_loop]


@pytest.mark.parametrize(
    ("run", "leave"),
    [
        pytest.param(run, leave, id=f"{name}-{leave.__name__}")
        for name, run in RUNNERS.items()
        for leave in ASYNC_WAYS
        if not (name == "trio" and leave in DROPPING)
    ],
)
def test_leaving_an_asynchronous_generator_closes_it_and_its_stream(serve, run, leave):
    server = serve(send_two_and_wait)
    log: list[Any] = []
    _, anumbers = declare(api.APIClient(base_url=server.url), log)

    async def main() -> None:
        await leave(anumbers)
        await anyio.to_thread.run_sync(server.wait_until_closed)
        assert log == ["finally"]

    run(main)


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_one_that_is_cancelled_before_the_answer_comes_is_at_its_end(serve, run):
    server = serve(Connection.until_client_closes)
    log: list[Any] = []
    _, anumbers = declare(api.APIClient(base_url=server.url), log)

    async def main() -> None:
        generator = anumbers()
        async with anyio.create_task_group() as group:
            group.start_soon(anext, generator)
            await anyio.to_thread.run_sync(server.wait_until, lambda: len(server.requests) == 1)
            group.cancel_scope.cancel()
        await anyio.to_thread.run_sync(server.wait_until_closed)
        assert [item async for item in generator] == log == []

    run(main)


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_one_that_is_left_at_the_end_of_the_event_loop_is_closed_with_it(serve, run):
    server = serve(send_two_and_wait)
    log: list[Any] = []
    _, anumbers = declare(api.APIClient(base_url=server.url), log)
    kept = []

    async def main() -> None:
        kept.append(anumbers())
        await anext(kept[0])

    run(main)
    server.wait_until_closed()
    assert log == ["finally"]


class TestSeveralReaders:
    """One task or thread reads a generator at a time."""

    def gated(self, serve) -> tuple[RawServer, threading.Event, threading.Event]:
        """A server that answers with a number when told, and sends another one when told once more."""
        begin, go_on = threading.Event(), threading.Event()

        async def send_when_told(connection: Connection) -> None:
            await asyncio.to_thread(begin.wait, 10)
            await connection.send(EVENT_STREAM + chunk(b"data: 1\n\n"))
            await asyncio.to_thread(go_on.wait, 10)
            await connection.send(chunk(b"data: 2\n\n"))
            await connection.until_client_closes()

        return serve(send_when_told), begin, go_on

    @pytest.mark.parametrize("has_begun", [False, True], ids=["before the answer", "while it waits for an item"])
    @pytest.mark.parametrize(
        "step",
        [
            lambda generator: generator.asend(None),
            lambda generator: generator.asend("value"),
            lambda generator: generator.athrow(KeyError("a")),
            lambda generator: generator.athrow(ZeroDivisionError()),
        ],
        ids=["anext", "asend", "athrow", "athrow another"],
    )
    @pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
    def test_a_second_task_is_refused_and_leaves_the_first_ones_alone(self, serve, run, step, has_begun):
        async def second(generator: Any) -> None:
            with pytest.raises(RuntimeError, match="already running"):
                await step(generator)

        items, log = self.read_beside(serve, run, second, has_begun=has_begun)
        assert items == [2 if has_begun else 1]
        assert log == ["finally"]

    @pytest.mark.parametrize("has_begun", [False, True], ids=["before the answer", "while it waits for an item"])
    @pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
    def test_closing_it_meanwhile_is_either_refused_or_done(self, serve, run, has_begun):
        is_refused = False

        async def second(generator: Any) -> None:
            nonlocal is_refused
            try:
                await generator.aclose()
            except RuntimeError:
                is_refused = True

        items, _ = self.read_beside(serve, run, second, has_begun=has_begun)
        assert len(items) == (1 if is_refused else 0)

    def read_beside(
        self, serve, run, second: Callable[[Any], Awaitable[None]], *, has_begun: bool
    ) -> tuple[list[int], list[Any]]:
        """What a task gets that reads a generator while a second one does something with it."""
        server, begin, go_on = self.gated(serve)
        items: list[int] = []
        log: list[Any] = []
        _, anumbers = declare(api.APIClient(base_url=server.url), log)

        async def main() -> None:
            generator = anumbers()
            if has_begun:
                begin.set()
                assert await anext(generator) == 1

            async def first() -> None:
                with contextlib.suppress(StopAsyncIteration):
                    items.append(await anext(generator))

            async with anyio.create_task_group() as group:
                group.start_soon(first)
                await anyio.to_thread.run_sync(server.wait_until, lambda: len(server.requests) == 1)
                await anyio.wait_all_tasks_blocked()
                try:
                    await second(generator)
                finally:
                    begin.set()
                    go_on.set()
            if items:
                await generator.aclose()
            await anyio.to_thread.run_sync(server.wait_until_closed)

        run(main)
        return items, log

    def test_a_second_thread_is_refused_and_leaves_the_first_ones_alone(self, serve):
        server, begin, go_on = self.gated(serve)
        log: list[Any] = []
        numbers, _ = declare(api.APIClient(base_url=server.url), log)
        generator = numbers()
        items: list[int] = []
        thread = threading.Thread(target=lambda: items.append(next(generator)))
        thread.start()
        server.wait_until(lambda: len(server.requests) == 1)
        for step in (generator.__next__, lambda: generator.throw(KeyError), generator.close):
            with pytest.raises((RuntimeError, ValueError), match=r"already executing|another thread"):
                step()
        begin.set()
        thread.join(10)
        go_on.set()
        assert items == [1]
        assert next(generator) == 2
        assert log == []
        generator.close()
        server.wait_until_closed()


DECLARATIONS = """
import asyncio, gc
from typing import AsyncIterator, Iterator
import anyio
from clientele import api

client = api.APIClient(base_url="{url}")

@client.get("/endless", streaming_response=True)
async def numbers(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
    try:
        async for number in result:
            yield number
    finally:
        print("finally")
        await anyio.sleep(0)  # as one does who says goodbye to somebody

@client.get("/events", streaming_response=True)
async def few_numbers(*, result: AsyncIterator[int]) -> AsyncIterator[int]:
    async for number in result:
        yield number
    print("finally")

@client.get("/endless", streaming_response=True)
def numbers_sync(*, result: Iterator[int]) -> Iterator[int]:
    try:
        yield from result
    finally:
        print("finally")

def run(main):
    {run}
"""

RUN = {
    "asyncio": "asyncio.run(main())",
    "uvloop": "import uvloop; uvloop.run(main())",
    "trio": "import trio; trio.run(main)",
}

ASYNC_SCRIPTS = {
    "breaks out": """
        async def main():
            async for number in numbers():
                print(number)
                break
        run(main)
    """,
    "breaks out and goes on": """
        async def main():
            for _ in range(5):
                async for number in numbers():
                    print(number)
                    break
            async for number in few_numbers():
                print(number)
        run(main)
    """,
    "drops it": """
        async def main():
            generator = numbers()
            print(await anext(generator))
            del generator
        run(main)
    """,
    "keeps it": """
        async def main():
            global kept
            kept = numbers()
            print(await anext(kept))
        run(main)
    """,
    "keeps it from one event loop to the next": """
        kept = []
        async def main():
            kept.append(numbers())
            print(await anext(kept[-1]))
            del kept[:-1]
        for _ in range(3):
            run(main)
        kept.clear()
    """,
    "leaves it to the garbage collection": """
        class Knot:
            pass
        async def main():
            knot = Knot()
            knot.itself = knot
            knot.generator = numbers()
            print(await anext(knot.generator))
        run(main)
        gc.collect()
    """,
    "fails": """
        async def main():
            async for number in numbers():
                print(number)
                raise SystemExit
        run(main)
    """,
    "is cancelled": """
        async def main():
            async with anyio.create_task_group() as group:
                group.start_soon(read)
                await started.wait()
                group.cancel_scope.cancel()
        async def read():
            async for number in numbers():
                print(number)
                started.set()
        started = anyio.Event()
        run(main)
    """,
}

SYNC_SCRIPTS = {
    "breaks out": """
        for number in numbers_sync():
            print(number)
            break
    """,
    "keeps it": """
        kept = numbers_sync()
        print(next(kept))
    """,
    "fails": """
        for number in numbers_sync():
            print(number)
            raise SystemExit
    """,
}


AT_THE_END = ("fails", "keeps it")  # of the program
DROPPING_SCRIPTS = ("breaks out", "breaks out and goes on", "drops it")  # of which trio warns


@pytest.mark.parametrize(
    ("loop", "last"), [("asyncio", "fails"), ("asyncio", "keeps it"), ("uvloop", "keeps it"), ("trio", "keeps it")]
)
def test_a_script_ends_without_a_word(serve, tmp_path, loop, last):
    unheard = (*AT_THE_END, *(DROPPING_SCRIPTS if loop == "trio" else ()))
    scripts = [textwrap.dedent(script) for name, script in ASYNC_SCRIPTS.items() if name not in unheard]
    lines = run_to_end(serve, tmp_path, RUN[loop], "\n".join([*scripts, textwrap.dedent(ASYNC_SCRIPTS[last])]))
    assert lines[0] == "1"
    assert lines.count("finally") == lines.count("1")  # each that began was closed


@pytest.mark.parametrize("script", SYNC_SCRIPTS.values(), ids=SYNC_SCRIPTS)
def test_a_synchronous_script_ends_without_a_word(serve, tmp_path, script):
    assert run_to_end(serve, tmp_path, "raise AssertionError", script) == ["1", "finally"]


@pytest.mark.parametrize("run", RUN.values(), ids=RUN)
def test_a_script_that_never_iterates_ends_without_a_word(serve, tmp_path, run):
    script = """
        async def main():
            numbers()
            kept.append(numbers())
        kept = [numbers(), numbers_sync()]
        numbers(), numbers_sync()
        run(main)
    """
    assert run_to_end(serve, tmp_path, run, script, requests=0) == []


def run_to_end(serve, tmp_path, run: str, script: str, *, requests: int | None = None) -> list[str]:
    """The lines that a script writes to stdout; to stderr it writes none."""

    async def send_numbers(connection: Connection) -> None:
        if connection.request.target == "/events":
            await connection.send(events("1", "2"))
        else:
            await send_two_and_wait(connection)

    server = serve(send_numbers)
    path = tmp_path / "script.py"
    path.write_text(DECLARATIONS.format(url=server.url, run=run) + textwrap.dedent(script))
    stdout, stderr = run_script(path)
    assert stderr == ""
    server.wait_until_closed()
    if requests is not None:
        assert len(server.requests) == requests
    return stdout.splitlines()
