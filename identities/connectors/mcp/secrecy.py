"""Secrets that stand in configuration files: found, named, counted, and left where they are."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from identities.connectors.mcp.clients import address_of

# Settings of programs that are no credential, whatever they hold.
_PLAIN = frozenset(
    [
        "path", "home", "lang", "tz", "node_env", "log_level", "debug", "port", "host", "no_color", "force_color",
        "pythonpath", "pythonunbuffered", "node_options", "content-type", "accept", "user-agent",
        "mcp-protocol-version",
    ]
)  # fmt: skip
_SECRET_WORD = re.compile(r"(?i)(api[-_]?key|token|secret|passw(?:or)?d|credential|authorization|bearer)")
_FLAG = re.compile(r"(?i)--?(?P<name>[\w-]+)(?:[=:](?P<value>.+))?", re.S)
_REFERENCE = re.compile(r"(?:(?:Bearer|Basic|Token)\s+)?\$(?:\{[^}]*\}|[A-Za-z_]\w*)|<[^<>]*>|\{\{[^{}]*\}\}|")
_SHAPES = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY|\bgh[opusr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{15,}"
    r"|\bxox[a-z]-[\w-]{10,}|\beyJ[\w-]{8,}\.eyJ|\b[rs]k_live_\w{10,}|\bsk-[\w-]{16,}|\bAIza[\w-]{30,}|\bhvs\.[\w-]{15,}"
    r"|\bremit_[0-9a-f]{8}_[\w-]{20,}|://[^/\s:@\"]*:[^/\s@\"]+@|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
)


@dataclass(frozen=True, slots=True)
class Upstream:
    """What a server signs in upstream with, by its name alone. is_inline: the value itself stands in the file."""

    where: str
    name: str
    is_inline: bool


def upstream_credentials(definition: Mapping[str, Any]) -> tuple[list[Upstream], int]:
    """The credentials of a server's definition, and how many of its settings are none."""
    found: list[Upstream] = []
    plain = 0
    for key in ("env", "headers", "http_headers"):
        held = definition.get(key)
        for name, value in held.items() if isinstance(held, Mapping) else ():
            if name.lower() in _PLAIN or not name or len(name) > 100 or not name.isprintable():
                plain += 1
            else:
                found.append(Upstream("env" if key == "env" else "header", name, not _is_reference(value)))
    for key in ("env_http_headers",):
        held = definition.get(key)
        found += [Upstream("header", name, False) for name in held] if isinstance(held, Mapping) else []
    if isinstance(definition.get("bearer_token_env_var"), str):
        found.append(Upstream("env", definition["bearer_token_env_var"][:100], False))
    names = definition.get("env_vars")
    found += (
        [Upstream("env", name, False) for name in names if isinstance(name, str)] if isinstance(names, list) else []
    )
    found += _in_arguments(definition.get("args"))
    found += _in_address(address_of(definition))
    return list({(each.where, each.name): each for each in found}.values()), plain


def looks_secret(text: str) -> bool:
    """Whether a text holds something shaped like a secret."""
    return _SHAPES.search(text) is not None


def plain_address(address: str) -> str:
    """Scheme, host and path: what may be shown of an address."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    shown = f"{parts.scheme}://{host}{parts.path}" if host else ""
    return "" if looks_secret(shown) or not shown.isprintable() else shown[:300]


def _is_reference(value: Any) -> bool:
    return not isinstance(value, str) or _REFERENCE.fullmatch(value.strip()) is not None


def _in_arguments(arguments: Any) -> Iterator[Upstream]:
    held = [each for each in arguments if isinstance(each, str)] if isinstance(arguments, list) else []
    for number, text in enumerate(held):
        flag = _FLAG.fullmatch(text)
        if flag and _SECRET_WORD.search(flag["name"]) and len(flag["name"]) <= 100:
            following = held[number + 1] if number + 1 < len(held) and not held[number + 1].startswith("-") else ""
            value = flag["value"] or following
            if value:
                yield Upstream("argument", flag["name"], not _is_reference(value))
        elif looks_secret(text):
            yield Upstream("argument", f"argument {number + 1}", True)


def _in_address(address: str) -> Iterator[Upstream]:
    try:
        parts = urlsplit(address)
        query = parse_qsl(parts.query)
        password = parts.password
    except ValueError:
        return
    if password:
        yield Upstream("address", "sign-in", not _is_reference(password))
    for name, value in query:
        if _SECRET_WORD.search(name) or re.fullmatch(r"(?i)key|auth|sig", name) or looks_secret(value):
            yield Upstream("address", name[:100], not _is_reference(value))
