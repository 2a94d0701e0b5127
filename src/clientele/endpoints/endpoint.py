"""A declared endpoint: bind the arguments, perform the call, run the function's body with the result."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any

from ..event_loop import EventLoop
from ..http_clients import HTTPClients
from .call import Call, aclose_result, close_result, errors_named
from .generator import EndpointGenerator, RunningBody
from .plan import Plan, Planner
from .request import build_parts


class Endpoint:
    """A declared endpoint of a client, ready to be called.

    Parameters:
        planner: What the endpoint's function declares.
        clients: What sends its requests.
        base_url: What comes before its path; `""` if the HTTP client has something for that.
    """

    def __init__(self, planner: Planner, clients: HTTPClients, base_url: str) -> None:
        self._planner = planner
        self._clients = clients
        self._base_url = base_url

    def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call a synchronous endpoint."""
        plan = self._planner.plan()
        arguments = plan.bind(args, kwargs)
        result, response = self._call(plan, arguments).perform()
        try:
            return plan.run_body(arguments, result=result, response=response)
        except BaseException:
            close_result(result)
            raise

    async def acall(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call an asynchronous endpoint."""
        plan = self._planner.plan()
        arguments = plan.bind(args, kwargs)
        result, response = await self._call(plan, arguments).aperform()
        try:
            return await plan.run_body(arguments, result=result, response=response)
        except BaseException:
            await aclose_result(result)
            raise

    def generate(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Generator[Any, Any, Any]:
        """Call a synchronous endpoint that yields; its request is sent when iteration begins."""
        plan = self._planner.plan()
        arguments = plan.bind(args, kwargs)

        def generator() -> Generator[Any, Any, Any]:
            result, response = self._call(plan, arguments).perform()
            try:
                return (yield from plan.run_body(arguments, result=result, response=response))
            finally:
                close_result(result)

        return generator()

    def agenerate(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> AsyncGenerator[Any, Any]:
        """Call an asynchronous endpoint that yields; its request is sent when iteration begins."""
        plan = self._planner.plan()
        arguments = plan.bind(args, kwargs)

        async def begin() -> RunningBody:
            result, response = await self._call(plan, arguments).aperform()
            body = plan.run_body(arguments, result=result, response=response)
            return RunningBody(body, result, await EventLoop.running())

        return EndpointGenerator(begin)

    def _call(self, plan: Plan, arguments: Mapping[str, Any]) -> Call:
        declaration = plan.declaration
        with errors_named(declaration.name):
            parts = build_parts(declaration.path, plan.parameters, arguments)
        return Call(
            name=declaration.name,
            method=declaration.method,
            parts=parts,
            answer=plan.answer,
            options=declaration.options,
            clients=self._clients,
            base_url=self._base_url,
        )
