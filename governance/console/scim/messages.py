"""The words of SCIM 2.0 (RFC 7643, 7644): media type, schema names, errors, lists."""

from collections.abc import Sequence
from typing import Any

from governance.kernel.errors import DomainError

MEDIA_TYPE = "application/scim+json"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"

Document = dict[str, Any]


class ScimRefused(DomainError):
    """A SCIM request that cannot be carried out; `scimType` is one of RFC 7644, table 9."""

    code = "scim-refused"
    status = 400

    def __init__(self, message: str, scim_type: str = "invalidValue", status: int = 400) -> None:
        super().__init__(message, scimType=scim_type)
        self.status = status


# What the use cases refuse with, as SCIM calls it.
SCIM_TYPES = {
    "external-id-taken": "uniqueness",
    "person-refused": "invalidValue",
    "team-refused": "invalidValue",
    "last-administrator": "mutability",
}


def error_document(status: int, detail: str, scim_type: str = "") -> Document:
    """An error message; the status is a string there."""
    document: Document = {"schemas": [ERROR], "status": str(status), "detail": detail}
    return document | ({"scimType": scim_type} if scim_type else {})


def list_document(resources: Sequence[Document], *, total: int, start: int) -> Document:
    """One page of resources; start counts from 1."""
    return {
        "schemas": [LIST],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(resources),
        "Resources": list(resources),
    }
