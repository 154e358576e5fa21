"""What this SCIM server can do, as documents: ServiceProviderConfig, ResourceTypes, Schemas (RFC 7643, 5 to 7)."""

from typing import Any

from governance.console.scim.messages import ENTERPRISE, GROUP, USER, Document

MOST_PER_PAGE = 200
_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Schema"
_TYPE = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"

PROVIDER: Document = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
    "patch": {"supported": True},
    "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
    "filter": {"supported": True, "maxResults": MOST_PER_PAGE},
    "changePassword": {"supported": False},
    "sort": {"supported": False},
    "etag": {"supported": True},
    "authenticationSchemes": [
        {
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "An API token of Remit with the scope people:provision.",
            "primary": True,
        }
    ],
    "meta": {"resourceType": "ServiceProviderConfig", "location": "/scim/v2/ServiceProviderConfig"},
}


def _type(name: str, endpoint: str, schema: str, extensions: list[Document]) -> Document:
    return {
        "schemas": [_TYPE],
        "id": name,
        "name": name,
        "endpoint": endpoint,
        "schema": schema,
        "schemaExtensions": extensions,
        "meta": {"resourceType": "ResourceType", "location": f"/scim/v2/ResourceTypes/{name}"},
    }


TYPES = {
    "User": _type("User", "/Users", USER, [{"schema": ENTERPRISE, "required": False}]),
    "Group": _type("Group", "/Groups", GROUP, []),
}


def _attribute(name: str, kind: str = "string", **more: Any) -> Document:
    return {
        "name": name,
        "type": kind,
        "multiValued": False,
        "required": False,
        "caseExact": False,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": "none",
    } | more


def _schema(urn: str, name: str, attributes: list[Document]) -> Document:
    return {
        "schemas": [_SCHEMA],
        "id": urn,
        "name": name,
        "attributes": attributes,
        "meta": {"resourceType": "Schema", "location": f"/scim/v2/Schemas/{urn}"},
    }


_VALUE_ROWS = {
    "multiValued": True,
    "subAttributes": [_attribute("value"), _attribute("display", mutability="readOnly")],
}
_EMAIL = [_attribute("value"), _attribute("type"), _attribute("primary", "boolean")]
SCHEMAS = {
    USER: _schema(
        USER,
        "User",
        [
            _attribute("userName", required=True, uniqueness="server"),
            _attribute("externalId", caseExact=True, uniqueness="server"),
            _attribute("name", "complex", subAttributes=[_attribute("formatted")]),
            _attribute("displayName"),
            _attribute("active", "boolean"),
            _attribute("emails", "complex", multiValued=True, subAttributes=_EMAIL, mutability="readOnly"),
            _attribute("groups", "complex", mutability="readOnly", **_VALUE_ROWS),
        ],
    ),
    GROUP: _schema(
        GROUP,
        "Group",
        [
            _attribute("displayName", required=True, uniqueness="server"),
            _attribute("externalId", caseExact=True, uniqueness="server"),
            _attribute("members", "complex", **_VALUE_ROWS),
        ],
    ),
    ENTERPRISE: _schema(
        ENTERPRISE,
        "Enterprise user",
        [
            _attribute(
                "manager",
                "complex",
                subAttributes=[_attribute("value"), _attribute("displayName", mutability="readOnly")],
            )
        ],
    ),
}
