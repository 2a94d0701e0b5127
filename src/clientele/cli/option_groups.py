"""Options that several commands take, each declared once: as a field of a dataclass.

    @dataclass(frozen=True, slots=True)
    class RequestOptions:
        method: Annotated[str | None, typer.Option("-X", "--method")] = None

    @app.command()
    @with_option_groups
    def stream(url: Annotated[str, typer.Argument()], request: RequestOptions) -> None:
        print(request.method)

Typer reads a command's options from its signature. So `with_option_groups` gives it a signature in which each parameter
that is a dataclass is replaced by the fields of that dataclass, and makes the dataclass of their values at the call. A
dataclass checks in its `__post_init__` what goes together, and raises `typer.BadParameter`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

_EMPTY = inspect.Parameter.empty


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with the fields of its parameters that are dataclasses as parameters of its own."""
    hints = typing.get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and dataclasses.is_dataclass(hint)}
    fields = {name: [field.name for field in dataclasses.fields(group)] for name, group in groups.items()}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            parameters += _fields_of(groups[name])
        else:
            parameters.append(_keyword(name, hints[name], parameter.default))
    assert len({each.name for each in parameters}) == len(parameters), f"an option of {command.__name__} stands twice"

    @functools.wraps(command)
    def run(**values: Any) -> None:
        made = {
            name: group(**{field: values.pop(field) for field in fields[name]})  # the dataclass of its values
            for name, group in groups.items()
        }
        command(**values, **made)

    del run.__wrapped__  # Typer would look at its signature
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": None}
    return run


def _fields_of(group: type[Any]) -> list[inspect.Parameter]:
    hints = typing.get_type_hints(group, include_extras=True)
    return [
        _keyword(field.name, hints[field.name], _EMPTY if field.default is dataclasses.MISSING else field.default)
        for field in dataclasses.fields(group)
    ]


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
