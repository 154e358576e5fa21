"""A connection to a server: settings, signing in, and the few commands that the connector sends."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from redis.connection import Connection, SSLConnection
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from governance.kernel.dialects.redis_rules import Catalogue, catalogue_of
from identities.connectors.contract import NotPossible, ReadIncomplete, Setting, SourceUnreachable
from identities.connectors.redis_acl.accounts import Account, account_of
from identities.connectors.settings import BadSettings, read_settings

CHANNEL_COMMANDS = frozenset({"publish", "spublish", "subscribe", "psubscribe", "ssubscribe"})
_CHANGES = frozenset({"insert", "update", "delete"})


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the server is and as whom to sign in; `timeout` in seconds."""

    host: str
    port: int
    user: str
    password: str = field(default="", repr=False)
    tls: bool = False
    ca_file: str = ""
    timeout: int = 10


def parse_settings(declared: Sequence[Setting], settings: Mapping[str, Any], secrets: Mapping[str, str]) -> Settings:
    """Raises BadSettings."""
    values = read_settings(declared, settings, secrets)
    if not 1 <= values["port"] <= 65_535:
        raise BadSettings("The port must be a number from 1 to 65535.", setting="port")
    if not 1 <= values["timeout"] <= 600:
        raise BadSettings("The timeout must be 1 to 600 seconds.", setting="timeout")
    return Settings(**(values | {"ca_file": values["ca_file"] or ""}))


@dataclass(frozen=True, slots=True)
class Command:
    """What the server says about one of its commands. key: the place of its only key among the words, 0 for none."""

    name: str
    arity: int
    categories: frozenset[str]
    touches: frozenset[str]
    key: int


@dataclass(frozen=True, slots=True)
class Client:
    """One open connection. age: seconds. flags: as CLIENT LIST writes them (O monitor, S replica, b blocked)."""

    id: str
    user: str
    age: int
    flags: str


class Server:
    """An open connection, signed in."""

    def __init__(self, connection: Any, settings: Settings) -> None:
        self._connection = connection
        self.settings = settings

    @property
    def me(self) -> str:
        return self.settings.user

    def call(self, *words: str) -> Any:
        """One command. Raises SourceUnreachable, NotPossible; words of the server never reach the message."""
        name = " ".join(words[:2]) if words[0] in ("ACL", "CLIENT", "CONFIG") else words[0]
        try:
            self._connection.send_command(*words)
            return self._connection.read_response()
        except NoPermissionError as error:
            raise NotPossible(f"The connector's user {self.me!r} may not call {name}.") from error
        except ResponseError as error:
            raise NotPossible(f"The server refused {name}.") from error
        except (RedisError, OSError) as error:
            raise SourceUnreachable(f"The server did not answer {name} ({type(error).__name__}).") from error

    def read(self, *words: str) -> Any:
        """One command that a reading cannot do without. Raises SourceUnreachable, ReadIncomplete."""
        try:
            return self.call(*words)
        except NotPossible as problem:
            raise ReadIncomplete(problem.message) from problem

    def users(self) -> list[str]:
        return [str(name) for name in self.read("ACL", "USERS")]

    def account(self, name: str) -> Account | None:
        """One user as the server holds it, without what it signs in with; None where there is none."""
        found = self.read("ACL", "GETUSER", name)
        return account_of(name, found) if found is not None else None

    @cached_property
    def commands(self) -> dict[str, Command]:
        """Every command with its second words, by name."""
        found: dict[str, Command] = {}
        for entry in self.read("COMMAND"):
            _collect(entry, found)
        return found

    @cached_property
    def catalogue(self) -> Catalogue:
        return catalogue_of({name: command.categories for name, command in self.commands.items()})

    def touches(self, command: str) -> frozenset[str]:
        """Kinds of resources that a command may touch; empty where nobody knows."""
        known = self.commands.get(command) or self.commands.get(command.partition("|")[0])
        return known.touches if known else frozenset()

    def clients(self) -> list[Client]:
        """Raises SourceUnreachable, ReadIncomplete."""
        return [_client(line) for line in str(self.read("CLIENT", "LIST")).splitlines() if line.strip()]

    def keeping(self) -> tuple[str, ...]:
        """The command that makes a change outlast a restart; empty where there is none or nobody may look."""
        try:
            found = self.call("CONFIG", "GET", "aclfile")
            if found and len(found) > 1 and found[1]:
                return ("ACL", "SAVE")
            info = str(self.call("INFO", "server"))
        except NotPossible:
            return ()
        has_file = any(line.startswith("config_file:") and line.strip() != "config_file:" for line in info.splitlines())
        return ("CONFIG", "REWRITE") if has_file else ()

    def may(self, user: str, *words: str) -> bool | None:
        """What the server's own dry run says; None where it cannot be asked."""
        try:
            return bool(self.call("ACL", "DRYRUN", user, *words) == "OK")
        except NotPossible:
            return None


def _collect(entry: Sequence[Any], found: dict[str, Command]) -> None:
    specs = [dict(zip(spec[::2], spec[1::2], strict=False)) for spec in entry[8]]
    touches, key = set[str](), 0
    for spec in specs:
        flags = {str(flag).lower() for flag in spec["flags"]}
        touched = {"read"} if "access" in flags else set[str]()
        touched |= {"write"} if flags & _CHANGES else set()
        touches |= touched or {"read", "write"}
    name = str(entry[0]).lower()
    if name in CHANNEL_COMMANDS:
        touches.add("channel")
    if not touches or any(spec["find_keys"][1] == "keynum" and name.startswith(("eval", "fcall")) for spec in specs):
        touches.add("server")
    if len(specs) == 1 and entry[3] > 0 and entry[3] == entry[4]:
        key = int(entry[3])
    categories = frozenset(str(category).removeprefix("@") for category in entry[6])
    found[name] = Command(name, int(entry[1]), categories, frozenset(touches), key)
    for second in entry[9]:
        _collect(second, found)


def _client(line: str) -> Client:
    fields = dict(word.split("=", 1) for word in line.split(" ") if "=" in word)
    return Client(fields.get("id", ""), fields.get("user", ""), int(fields.get("age") or 0), fields.get("flags", ""))


@contextmanager
def open_server(settings: Settings) -> Iterator[Server]:
    """Raises SourceUnreachable."""
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "username": settings.user,
        "password": settings.password,
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.timeout,
        "protocol": 2,
        "decode_responses": True,
        "encoding_errors": "surrogateescape",
        "driver_info": None,
    }
    if settings.ca_file:
        options["ssl_ca_certs"] = settings.ca_file
    connection = (SSLConnection if settings.tls else Connection)(**options)
    try:
        connection.connect()
    except (AuthenticationError, ResponseError) as error:
        connection.disconnect()
        raise SourceUnreachable(f"{settings.host} does not accept the connector's credential.") from error
    except (RedisError, OSError) as error:
        connection.disconnect()
        raise SourceUnreachable(f"{settings.host} did not answer ({type(error).__name__}).") from error
    try:
        yield Server(connection, settings)
    finally:
        connection.disconnect()
