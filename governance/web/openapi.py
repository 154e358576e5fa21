"""How the API describes itself: what the framework cannot see from a view, said once for all of them."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry

from governance.web.authentication import HasScope, required_scopes
from governance.web.pagination import KeysetPagination
from governance.web.problems import MEDIA_TYPE

PROBLEM = {
    "type": "object",
    "description": "A refusal (RFC 9457). `code` is stable and meant for programs, `detail` is meant for people.",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {
            "type": "string",
            "description": "Where the code is explained.",
            "examples": ["/docs/problems#not-found"],
        },
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string", "examples": ["not-found"]},
        "detail": {"type": "string"},
        "request_id": {"type": "string", "description": "Name it when you ask for help; logs carry it too."},
        "errors": {
            "type": "array",
            "description": "Each refused value, with a JSON pointer into the body, or the line of a reading.",
            "items": {
                "type": "object",
                "required": ["code", "detail"],
                "properties": {
                    "pointer": {"type": "string"},
                    "line": {"type": "integer"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
    "additionalProperties": True,
}
REFUSALS = {
    "400": "The address or the body cannot be read: a malformed document, an unknown parameter, a damaged cursor.",
    "401": "The bearer token is missing, unknown, expired or revoked.",
    "403": "The token lacks the scope, or only a person may do this.",
    "404": "There is no such object or form, or it is not the caller's to see.",
    "409": "The object is in a state that does not allow this.",
    "412": "The object changed since it was read; If-Match no longer holds.",
    "413": "The body is larger than this installation takes.",
    "415": "The body has a media type that is not read here.",
    "422": "The values cannot be accepted; nothing was changed.",
    "428": "If-Match is missing: send the ETag that you read.",
    "429": "Too many requests; Retry-After says when to come back.",
    "503": "The database doesn't answer; Retry-After says when to come back.",
}


def complete(result: dict[str, Any], **surroundings: Any) -> dict[str, Any]:
    """A hook of drf-spectacular: the shapes of refusals, which no serializer describes.

    Choices stay where they are used. As components of their own they would get made-up names, because many things
    here have a `state` and a `kind`.
    """
    _tidy(result)
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    components["responses"] = {
        f"Problem{status}": {"description": text, "content": content} for status, text in REFUSALS.items()
    }
    return result


class ApiSchema(AutoSchema):
    """Adds to each operation its scope, its refusals, and the pages of a list."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, Any] | None:
        operation = super().get_operation(path, path_regex, path_prefix, method, registry)
        if operation and self._is_guarded():
            scopes = required_scopes(self.view, method.lower())
            operation["security"] = [
                {key: [scope] for key in entry} for entry in operation["security"] for scope in scopes
            ]
            words = " or ".join(f"`{scope}`" for scope in scopes)
            operation["description"] = f"{operation.get('description', '')}\n\nScope: {words}.".strip()
            for status in self._refusals(operation):
                operation["responses"].setdefault(status, {"$ref": f"#/components/responses/Problem{status}"})
        return operation

    def get_summary(self) -> str | None:
        """The first sentence of the method's docstring."""
        return (super().get_summary() or self.get_description().split(". ")[0].split("\n")[0].rstrip(".")) or None

    def _get_paginator(self) -> Any:
        return KeysetPagination() if self.method == "GET" and hasattr(self.view, "keyset") else None

    def _is_guarded(self) -> bool:
        return any(isinstance(permission, HasScope) for permission in self.view.get_permissions())

    def _refusals(self, operation: dict[str, Any]) -> list[str]:
        found = {"400", "401", "403", "503", *getattr(self.view, "further_refusals", ())}
        parameters = {(one["in"], one["name"]) for one in operation.get("parameters", [])}
        # A form that is not offered is answered as an object that is not there.
        if ("query", "format") in parameters or any(place == "path" for place, _ in parameters):
            found.add("404")
        if self.method != "GET":
            found |= {"404", "409", "422"}  # the body may name what is not there
        if "requestBody" in operation:
            found |= {"413", "415"}
        if ("header", "If-Match") in parameters:
            found |= {"412", "428"}
        if getattr(self.view, "throttle_scope", None):
            found.add("429")
        return sorted(found)


def _tidy(node: Any) -> None:
    """Drop the library's marks, and let "anything or null", which null would match twice, be anything."""
    if isinstance(node, dict):
        node.pop("x-spec-enum-id", None)
        if {} in node.get("oneOf", ()):
            del node["oneOf"]
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _tidy(child)
