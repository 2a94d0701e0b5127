"""Instances of models for tests: you name the fields that matter, polyfactory makes up the rest."""

from __future__ import annotations

from typing import Any, TypeVar

import pydantic

from ..validation import is_subclass

M = TypeVar("M", bound=pydantic.BaseModel)
_SEED = 1


def make(model: type[M], /, **values: Any) -> M:
    """Make an instance of a Pydantic model, with plausible values for the fields that you leave out.

    ```python
    user = testing.make(User, name="Ann")
    ```

    The values are the same each time, so that a test does not depend on chance.

    Parameters:
        model: The model.
        **values: Values of fields, by their names in Python. Default: plausible ones for their types.

    Returns:
        The instance.

    Raises:
        ImportError: The extra `clientele[testing]` is not installed.
        TypeError: `model` is no model, or has no such field.
        pydantic.ValidationError: A value does not fit.
    """
    if not is_subclass(model, pydantic.BaseModel):
        raise TypeError(f"make({model!r}): pass a Pydantic model")
    if unknown := values.keys() - model.model_fields.keys():
        raise TypeError(f"{model.__name__} has no field {sorted(unknown)}; it has {[*model.model_fields]}")
    try:
        from polyfactory.factories.pydantic_factory import ModelFactory
    except ImportError as error:
        problem = (
            "testing.make needs the extra clientele[testing], the package polyfactory: run pip install polyfactory"
        )
        raise ImportError(problem) from error
    factory: Any = ModelFactory.create_factory(model, __random_seed__=_SEED)
    made = factory.build()
    given = {name: getattr(made, name) for name in model.model_fields} | values
    return model.model_validate(given, by_name=True, by_alias=False)
