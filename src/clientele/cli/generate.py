"""`clientele generate`: an OpenAPI document becomes a package of declared functions. The work is done in `openapi/`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .exit_codes import ExitCode
from .messages import Messages

HELP = """Generate a typed client package from an OpenAPI document.

The same document gives the same files. What the document cannot say stands in clientele.toml, in the package's
directory. What has no counterpart is told on stderr, with its place in the document.

Examples:

  clientele generate openapi.json -o shop

  clientele generate https://api.example.com/openapi.json -o shop --sync

  clientele generate myapp.main:app -o shop --check
"""

_PACKAGES = ("datamodel_code_generator", "yaml")  # the modules of the extra


def generate(
    document: Annotated[str, typer.Argument(help="A file, a URL, or module:app of a FastAPI application.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The package's directory.", metavar="PACKAGE")],
    *,
    asynchronous: Annotated[bool, typer.Option("--async", help="Write async functions; the default.")] = False,
    synchronous: Annotated[
        bool, typer.Option("--sync", help="Write plain functions; with --async, both, these named ..._sync.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if the files are not what is generated.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if something in the document has no counterpart.")
    ] = False,
    overlay: Annotated[
        Path | None, typer.Option("--overlay", help="The overlay, in place of PACKAGE/clientele.toml.")
    ] = None,
) -> None:
    """Generate, and write or compare."""
    messages = Messages("generate")
    try:
        from ..openapi.document import DocumentError
        from ..openapi.modules import Sides
        from ..openapi.package import generate as generate_package
        from ..openapi.package import overlay_for, package_name
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PACKAGES:
            raise
        messages.tell(f'this needs {error.name}, which is not installed: pip install "clientele[generate]"')
        sys.exit(ExitCode.USAGE)
    sides = Sides(asynchronous=asynchronous or not synchronous, synchronous=synchronous)
    try:
        package = generate_package(document, package_name(output), sides=sides, overlay=overlay_for(output, overlay))
        for finding in package.findings:
            messages.tell(f"{'error' if strict else 'warning'}: {finding}")
        if check:
            differences = list(package.differences(output))
            for each in differences:
                sys.stdout.write(each)
            if differences:
                messages.tell(f"{output} is not what {document} gives; run the command without --check")
        else:
            differences = []
            package.write(output)
            lines = sum(source.count("\n") for source in package.files.values())
            print(f"{output}: {len(package.files)} files, {lines:,} lines")
    except DocumentError as error:
        messages.tell(str(error))
        sys.exit(ExitCode.USAGE)
    except OSError as error:
        messages.tell(f"{output} cannot be written: {error.strerror or error}")
        sys.exit(ExitCode.FAILED)
    if differences or (strict and package.findings):
        sys.exit(ExitCode.FAILED)
