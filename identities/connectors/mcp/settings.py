"""The settings of an `mcp` source, and reading its files."""

import os
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from identities.connectors.contract import ReadIncomplete, Setting
from identities.connectors.mcp.clients import Configuration, address_of, client_of, command_of, parse
from identities.connectors.mcp.documents import LARGEST, Malformed, load
from identities.connectors.mcp.records import Listing, server_id
from identities.connectors.mcp.servers import list_over_http, list_over_stdio
from identities.connectors.settings import BadSettings, read_settings

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "files",
        "Configuration files",
        "Absolute paths, one each: all files that an agent's client merges. Remit changes no others.",
        kind="list",
        required=True,
    ),
    Setting(
        "allowed_commands",
        "Servers that may be started",
        "Whole command lines, word for word as the configuration gives them. Starting a server executes it.",
        kind="list",
        default=(),
    ),
    Setting(
        "allowed_urls",
        "Servers that may be asked",
        "Addresses of MCP servers over HTTP, word for word as the configuration gives them.",
        kind="list",
        default=(),
    ),
    Setting("token", "Token for these servers", "Sent as a bearer token to each of the addresses.", kind="reference"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    files: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]
    urls: tuple[str, ...]
    token: str


def parse_settings(settings: Mapping[str, Any], secrets: Mapping[str, str]) -> Settings:
    """Raises BadSettings."""
    values = read_settings(SETTINGS, settings, secrets)
    for path in values["files"]:
        if not path.startswith("/") or os.path.normpath(path) != path:
            raise BadSettings(f"{path!r} is no plain absolute path.", setting="files")
    if len(set(values["files"])) != len(values["files"]):
        raise BadSettings("A file is named twice.", setting="files")
    for url in values["allowed_urls"]:
        if not url.startswith(("http://", "https://")):
            raise BadSettings(f"{url!r} is no address of the form https://host/path.", setting="allowed_urls")
    try:
        commands = tuple(tuple(shlex.split(line)) for line in values["allowed_commands"])
    except ValueError as error:
        raise BadSettings("A command line has an opening quote too many.", setting="allowed_commands") from error
    if not all(commands):
        raise BadSettings("A command line is empty.", setting="allowed_commands")
    return Settings(tuple(values["files"]), commands, tuple(values["allowed_urls"]), values["token"])


def read_text(path: str) -> str:
    """The text of one configuration file. Raises ReadIncomplete: a file that is away must not look like one without
    servers.
    """
    try:
        with Path(path).open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ReadIncomplete(f"{path} is no ordinary file.")
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise ReadIncomplete(f"{path} can't be read ({error.strerror}).") from error
    if len(data) > LARGEST:
        raise ReadIncomplete(f"{path} is larger than {LARGEST // 1024**2} MB.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ReadIncomplete(f"{path} is no UTF-8 text.") from None


def load_file(path: str, text: str) -> dict[str, Any]:
    """Raises ReadIncomplete."""
    client = client_of(path)
    try:
        return load(text, toml=client.toml, comments=client.comments)
    except Malformed as error:
        raise ReadIncomplete(f"{path} {error}.") from None


def read_configuration(files: Sequence[str]) -> Configuration:
    """Everything the files say. Raises ReadIncomplete."""
    documents = {path: load_file(path, read_text(path)) for path in files}
    try:
        return parse(documents)
    except Malformed as error:
        raise ReadIncomplete(f"{error}.") from None


def list_servers(settings: Settings, found: Configuration) -> Iterator[tuple[str, Listing]]:
    """Ask the servers that the operator allows: (server id, answer). Raises SourceUnreachable, ReadIncomplete."""
    answers: dict[tuple[str, ...], Listing] = {}
    for server in found.servers:
        command, address = tuple(command_of(server.definition)), address_of(server.definition)
        key = command or (address,)
        if command not in settings.commands and (command or address not in settings.urls):
            continue
        if key not in answers:
            answers[key] = list_over_stdio(command) if command else list_over_http(address, settings.token)
        yield server_id(server), answers[key]
