"""How the OpenAPI document describes the AuthZEN edge: shapes of the standard, errors as JSON strings."""

from typing import Any

from drf_spectacular.plumbing import ComponentRegistry

from governance.web.authentication import ApiTokenScheme
from governance.web.openapi import ApiSchema

_TEXT = {"type": "string", "minLength": 1}
_PROPERTIES = {"type": "object", "additionalProperties": True}


def _entity(*names: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    members = dict.fromkeys((*names, *optional), _TEXT) | {"properties": _PROPERTIES}
    return {"type": "object", "required": list(names), "properties": members}


_PARTS = {
    "subject": _entity("type", "id"),
    "action": _entity("name"),
    "resource": _entity("type", "id"),
    "context": _PROPERTIES | {"description": "With `explain: true`, answers say why."},
}
_EXAMPLE = {
    "subject": {"type": "service_account", "id": "ci-deploy"},
    "action": {"name": "read"},
    "resource": {"type": "record", "id": "7"},
}
_DECISION = {
    "type": "object",
    "required": ["decision"],
    "properties": {"decision": {"type": "boolean"}, "context": _PROPERTIES},
}
_FOUND = {
    "type": "object",
    "properties": {"type": {"type": "string"}, "id": {"type": "string"}, "name": {"type": "string"}},
}
_LOOSE = {name: {"type": "object", "additionalProperties": True} for name in _PARTS}

EVALUATION = {
    "application/json": {
        "type": "object",
        "required": ["subject", "action", "resource"],
        "properties": _PARTS,
        "examples": [_EXAMPLE],
    }
}
EVALUATIONS = {
    "application/json": {
        "type": "object",
        "properties": {
            **_LOOSE,
            "evaluations": {"type": "array", "items": {"type": "object", "properties": _LOOSE}},
            "options": {
                "type": "object",
                "properties": {
                    "evaluations_semantic": {
                        "type": "string",
                        "enum": ["execute_all", "deny_on_first_deny", "permit_on_first_permit"],
                    }
                },
            },
        },
        "examples": [_EXAMPLE | {"evaluations": [{}, {"action": {"name": "write"}}]}],
    }
}
SEARCH = {
    "application/json": {
        "type": "object",
        "properties": {
            "subject": _entity("type", optional=("id",)),
            "action": _entity("name"),
            "resource": _entity("type", optional=("id",)),
            "context": _PROPERTIES,
            "page": {
                "type": "object",
                "properties": {
                    "token": {"type": "string"},
                    "limit": {"type": "integer", "minimum": 1},
                    "properties": _PROPERTIES,
                },
            },
        },
    }
}
DECISION = {200: _DECISION}
DECISIONS = {
    200: {
        "type": "object",
        "properties": {"evaluations": {"type": "array", "items": _DECISION}, "decision": {"type": "boolean"}},
    }
}
RESULTS = {
    200: {
        "type": "object",
        "required": ["results"],
        "properties": {
            "page": {
                "type": "object",
                "required": ["next_token"],
                "properties": {"next_token": {"type": "string"}, "count": {"type": "integer"}},
            },
            "results": {"type": "array", "items": _FOUND},
        },
    }
}
_REFUSALS = {
    "400": "The body or a header cannot be read: everything that is wrong with a request itself.",
    "401": "The token is missing, unknown, expired or revoked.",
    "403": "The token lacks the scope.",
    "404": "There is no such decision domain.",
    "503": "The inventory cannot be asked: nothing is permitted. Retry-After says when to ask again.",
}
_REQUEST_ID = {
    "in": "header",
    "name": "X-Request-ID",
    "schema": {"type": "string", "maxLength": 128},
    "description": "Comes back as it was sent.",
}
_WHERE = "A decision domain has the same endpoint under `/d/{domain}`."


class DecisionSchema(ApiSchema):
    """Says of each operation what all of them share."""

    def get_auth(self) -> list[dict[str, Any]]:
        """The token of the rest of the API; that it may also stand alone in its header, no scheme can say."""
        return [{ApiTokenScheme.name: []}]

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, Any] | None:
        operation = super().get_operation(path, path_regex, path_prefix, method, registry)
        if operation:
            kept = {status: body for status, body in operation["responses"].items() if status < "400"}
            content = {"application/json": {"schema": {"type": "string"}}}
            refused = {status: {"description": text, "content": content} for status, text in _REFUSALS.items()}
            operation["responses"] = kept | refused
            operation["parameters"] = [*operation.get("parameters", []), _REQUEST_ID]
            operation["description"] = f"{operation['description']}\n\n{_WHERE}"
            operation["tags"] = ["access"]
        return operation
