"""JSON-RPC 2.0 as the gateway takes it from agents: read strictly, refused with the codes of the protocol. Pure.

Whatever two readers could understand in two ways is refused here (two members of one name, numbers that are none), so
that the decision point and the server behind it always judge and carry out the same call.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

MOST_BYTES = 1024 * 1024
MOST_DEPTH = 32
MOST_IN_BATCH = 20
LONGEST_ID = 256
LONGEST_METHOD = 100
LARGEST_NUMBER = 2**53 - 1

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
NO_SUCH_METHOD = -32601
# What OpenID AuthZEN's binding for MCP says: the arguments can't be mapped, and the decision point can't be asked.
INVALID_PARAMS = -32602
NOT_DECIDABLE = -32603
DENIED = -32001
UNREACHABLE = -32000
CANCELLED = -32800

Id = str | int


class BadMessage(Exception):
    """What arrived is no message that can be answered otherwise than by this error."""

    def __init__(self, code: int, sentence: str, id: Id | None = None) -> None:
        super().__init__(sentence)
        self.code, self.sentence, self.id = code, sentence, id


class Refused(Exception):
    """One request is refused: `code` of JSON-RPC, a sentence, and facts for programs."""

    def __init__(self, code: int, sentence: str, **data: Any) -> None:
        super().__init__(sentence)
        self.code, self.sentence, self.data = code, sentence, data


@dataclass(frozen=True, slots=True)
class Message:
    """A request (with an id), a notification (without), or an answer of the agent (`method` is empty)."""

    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    id: Id | None = None


def read(body: bytes) -> list[Message] | Message:
    """One message or a batch. Raises BadMessage."""
    document = decode(body)
    if not isinstance(document, list):
        return _message(document)
    if not document:
        raise BadMessage(INVALID_REQUEST, "The batch is empty.")
    if len(document) > MOST_IN_BATCH:
        raise BadMessage(INVALID_REQUEST, f"A batch holds at most {MOST_IN_BATCH} messages.")
    return [_message(each) for each in document]


def decode(body: bytes) -> Any:
    """The JSON text as values. Raises BadMessage for what is none, is too deep, or says something twice."""
    if len(body) > MOST_BYTES:
        raise BadMessage(INVALID_REQUEST, f"A message has at most {MOST_BYTES // 1024} kB.")
    try:
        document = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except BadMessage:
        raise
    except (ValueError, RecursionError):
        raise BadMessage(PARSE_ERROR, "This is no JSON text in UTF-8, or it is nested too deeply.") from None
    _check_values(document)
    return document


def answer(id: Id | None, result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "result": result}


def error(id: Id | None, code: int, sentence: str, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    told: dict[str, Any] = {"code": code, "message": sentence}
    return {"jsonrpc": "2.0", "id": id, "error": told | ({"data": dict(data)} if data else {})}


def notification(method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method} | ({"params": dict(params)} if params else {})


def written(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _message(document: Any) -> Message:
    if not isinstance(document, dict) or document.get("jsonrpc") != "2.0":
        raise BadMessage(INVALID_REQUEST, "A message is an object that says jsonrpc 2.0.")
    id = _id(document)
    if "method" not in document:
        if id is None or ("result" in document) == ("error" in document):
            raise BadMessage(INVALID_REQUEST, "This is neither a request nor an answer.", id)
        return Message("", {}, id)
    method, params = document["method"], document.get("params", {})
    if not isinstance(method, str) or not 0 < len(method) <= LONGEST_METHOD or not method.isprintable():
        raise BadMessage(INVALID_REQUEST, "The method is no name.", id)
    if "result" in document or "error" in document:
        raise BadMessage(INVALID_REQUEST, "A request carries no answer.", id)
    if not isinstance(params, dict):
        raise BadMessage(INVALID_PARAMS, "The parameters are no object.", id)
    return Message(method, params, id)


def _id(document: Mapping[str, Any]) -> Id | None:
    if "id" not in document:
        return None
    id = document["id"]
    if isinstance(id, str) and len(id) <= LONGEST_ID:
        return id
    if isinstance(id, int) and not isinstance(id, bool) and abs(id) <= LARGEST_NUMBER:
        return id
    raise BadMessage(INVALID_REQUEST, "An id is a short text or a whole number, and never null.")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BadMessage(INVALID_REQUEST, "An object has two members of one name.")
    return members


def _no_number(text: str) -> NoReturn:
    raise BadMessage(PARSE_ERROR, f"{text} is no JSON.")


def _check_values(document: Any) -> None:
    """Refuse what is nested too deeply, or holds half a character: it could neither be kept nor passed on."""
    waiting = [(document, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MOST_DEPTH:
            raise BadMessage(INVALID_REQUEST, f"A message is nested at most {MOST_DEPTH} deep.")
        if isinstance(value, dict):
            waiting += [(each, depth + 1) for each in (*value, *value.values())]
        elif isinstance(value, list):
            waiting += [(each, depth + 1) for each in value]
        elif isinstance(value, str) and not _is_whole(value):
            raise BadMessage(INVALID_REQUEST, "A text holds half a character.")


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
