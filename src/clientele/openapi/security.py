"""Security schemes as arguments of `make_client`: how each becomes a credential, and how that is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .document import Document
from .names import parameter_name, unique
from .overlay import Overlay


@dataclass(frozen=True, slots=True)
class Credential:
    """An argument of `make_client`.

    Attributes:
        argument: Its name.
        variable: The variable of the environment that it is read from where it is not given.
        doc: What it is.
        send: The statement that puts `value` into `request`.
    """

    argument: str
    variable: str
    doc: str
    send: str


_BEARER = 'request.headers["Authorization"] = f"Bearer {value}"'
_BASIC = 'request.headers["Authorization"] = "Basic " + base64.b64encode(value.encode()).decode()'
_API_KEYS = {
    "header": "request.headers[{name!r}] = value",
    "query": "request.url = request.url.copy_merge_params({{{name!r}: value}})",
    "cookie": 'request.headers["Cookie"] = "; ".join([*request.headers.get_list("Cookie"), {name!r} + "=" + value])',
}


def credentials(document: Document, overlay: Overlay, package: str) -> list[Credential]:
    """The arguments that the security schemes of a document become. What cannot be one is a finding."""
    components = document.root.get("components")
    schemes = components.get("securitySchemes") if isinstance(components, Mapping) else None
    schemes = schemes if isinstance(schemes, Mapping) else {}
    overlay.check_used("security", schemes)
    found: list[Credential] = []
    for name, given in schemes.items():
        scheme, place = document.object(given, ("components", "securitySchemes", name))
        kind = str(scheme.get("type", "")).lower()
        http = str(scheme.get("scheme", "")).lower()
        said = overlay.security.get(name, {})
        if kind == "apikey" and str(scheme.get("in")) in _API_KEYS and scheme.get("name"):
            default, send = "api_key", _API_KEYS[scheme["in"]].format(name=str(scheme["name"]))
            doc = f"The API key, sent as {scheme['name']!r} in the {scheme['in']} (`{name}`)."
        elif kind == "http" and http == "basic":
            default, send, doc = "basic", _BASIC, f"User name and password, as `name:password` (`{name}`)."
        elif (kind == "http" and http == "bearer") or kind in ("oauth2", "openidconnect"):
            default, send, doc = "token", _BEARER, f"The bearer token (`{name}`)."
        else:
            shown = " ".join(filter(None, [str(scheme.get("type")), http]))
            document.find(place, f"the scheme {shown!r} is no argument of make_client; pass auth= or verify= to it")
            continue
        taken = {each.argument for each in found}
        argument = said.get("argument") or default
        if argument in taken:
            argument = unique(parameter_name(name), taken)
        if description := " ".join(str(scheme.get("description") or "").split()):
            doc = f"{doc} {description}"
        variable = said.get("env") or f"{package}_{argument}".upper()
        found.append(Credential(argument, variable, doc, send))
    return found
