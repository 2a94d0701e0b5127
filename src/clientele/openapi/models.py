"""The models of a package, written by datamodel-code-generator, and what it has no word for: unions that stay open.

It is given named schemas and nothing else, so that each class has the name that the signatures use.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import datamodel_code_generator as generator

from .document import Document
from .names import class_name, unique

# Text stays as it came, so that what is sent is what was given: a URL is not rewritten, and no other package is needed.
_TEXT_FORMATS = """base64 binary byte email hostname idn-email idn-hostname ipv4 ipv4-network ipv6 ipv6-network iri json
    json-pointer password path regex ulid uri uri-reference uri-template""".split()

_OPTIONS: dict[str, Any] = {
    "input_file_type": generator.InputFileType.OpenAPI,
    "openapi_scopes": [generator.OpenAPIScope.Schemas],
    "target_python_version": generator.PythonVersion.PY_311,
    "output_datetime_class": generator.DatetimeClassType.Datetime,
    "enum_field_as_literal": generator.LiteralType.All,
    "naming_strategy": generator.NamingStrategy.FullPath,
    "custom_class_name_generator": class_name,
    "formatters": [],  # the whole package is formatted at once
    "type_mappings": [f"string+{each}=string" for each in _TEXT_FORMATS],
    "allow_population_by_field_name": True,
    "disable_timestamp": True,
    "custom_file_header": "#",
    "field_constraints": True,
    "infer_union_variant_names": True,
    "omit_redundant_constraints": True,
    "read_const_beside_enum": True,
    "snake_case_field": True,
    "strict_nullable": True,
    "use_annotated": True,
    "use_double_quotes": True,
    "use_field_description": True,
    "use_schema_description": True,
    "use_single_line_docstring": True,
    "use_single_value_enum_as_const": True,
    "use_standard_collections": True,
    "use_tag_as_union_variant_name": True,
    "use_type_alias": True,
    "use_type_alias_type": True,
    "use_union_operator": True,
}


@dataclass(frozen=True, slots=True)
class OpenUnion:
    """A union of models told apart by the values of a property, with an arm for values that the document lacks.

    Attributes:
        name: What the open union is called.
        of: The union that the document knows.
        unknown: What the class of the arm is called.
        property: The property that tells the members apart.
        values: Its values that the document knows.
    """

    name: str
    of: str
    unknown: str
    property: str
    values: tuple[str, ...]


def open_union(of: str, property_: str, values: tuple[str, ...], taken: set[str]) -> OpenUnion:
    """The open union of a union; its names are none of those that are taken."""
    return OpenUnion(unique(f"Any{of}", taken), of, unique(f"Unknown{of}", taken), property_, values)


def write_models(
    schemas: Mapping[str, Any], unions: list[OpenUnion], document: Document, aliases: Mapping[str, str]
) -> str:
    """The module of the models, without a docstring. What could not be said becomes a finding of the document."""
    if not schemas:
        return ""
    title = {"title": "models", "version": "1"}
    whole = {"openapi": "3.1.0", "info": title, "paths": {}, "components": {"schemas": dict(schemas)}}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        source = generator.generate(json.dumps(whole), aliases=dict(aliases) or None, **_OPTIONS)
    for warning in caught:
        if issubclass(warning.category, UserWarning) and not issubclass(warning.category, generator.NamingHintWarning):
            document.find(("components", "schemas"), f"{' '.join(str(warning.message).split())}")
    text = _without_idle_config(re.sub(r"\A(#.*\n|\s*\n)*", "", str(source)))
    missing = schemas.keys() - _defined(text)
    if missing:
        raise RuntimeError(f"no class was written for {', '.join(sorted(missing))}; please report the document")
    return text + "".join(map(_open_union_source, unions))


def _without_idle_config(source: str) -> str:
    """Take `populate_by_name` out of the models that have no aliases."""
    lines = source.splitlines(keepends=True)
    for statement in reversed(ast.parse(source).body):
        if not isinstance(statement, ast.ClassDef) or "alias=" in "".join(
            lines[statement.lineno - 1 : statement.end_lineno]
        ):
            continue
        for inner in statement.body:
            written = "".join("".join(lines[inner.lineno - 1 : inner.end_lineno]).split()).replace(",)", ")")
            if written == "model_config=ConfigDict(populate_by_name=True)":
                lines[inner.lineno - 1 : inner.end_lineno] = ["    pass\n"] if len(statement.body) == 1 else []
    return "".join(lines)


def _defined(source: str) -> set[str]:
    names: set[str] = set()
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Assign):
            names |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names.add(statement.target.id)
    return names


def _open_union_source(union: OpenUnion) -> str:
    name = union.property
    is_name = name.isidentifier()
    known = f"_KNOWN_TO_{re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', union.of).upper()}"
    field_name = name if is_name else "kind"
    alias = "" if is_name else f", Field(alias={name!r})"
    return f'''

{known} = frozenset({list(union.values)!r})


class {union.unknown}(BaseModel):
    """A member of `{union.name}` that the document does not know by its `{field_name}`."""

    model_config = ConfigDict(extra="allow")

    {field_name}: Annotated[str, AfterValidator(lambda value: unknown_to({known}, value)){alias}]


{union.name} = TypeAliasType(
    "{union.name}", Annotated[{union.of} | {union.unknown}, Field(union_mode="left_to_right")]
)
"""`{union.of}`, or `{union.unknown}` for what the API has learnt since the document was written."""
'''


UNKNOWN_TO = '''

def unknown_to(known: frozenset[str], value: str) -> str:
    """Refuse a value that is known: what has it is of another class, and does not fit that one."""
    if value in known:
        raise ValueError(f"{value!r} is known, and is of another class")
    return value
'''
