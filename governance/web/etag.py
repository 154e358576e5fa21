"""Optimistic locking over HTTP: the version a person or program saw travels as an ETag."""

from django.http import HttpRequest

from governance.kernel.errors import DomainError


class VersionNeeded(DomainError):
    """A change without `If-Match` could overwrite what somebody else did in the meantime."""

    code = "version-needed"
    status = 428
    title = "Say which version you saw"


class VersionChanged(DomainError):
    """The object is no longer the one the caller saw."""

    code = "version-changed"
    status = 412
    title = "The object changed since you read it"


def etag_for(version: int) -> str:
    """The strong entity tag of a version number, e.g. `"v7"`."""
    return f'"v{version}"'


def require_match(request: HttpRequest, version: int) -> None:
    """Refuse unless `If-Match` names this version (RFC 9110 13.1.1: strong comparison, `*` accepts any).

    Raises `VersionNeeded` (428) or `VersionChanged` (412). The use case still compares under its lock; this only
    answers early and in HTTP's own words.
    """
    header = request.headers.get("If-Match", "").strip()
    if not header:
        raise VersionNeeded("Send the ETag you read as If-Match.")
    if header == "*":
        return
    if etag_for(version) not in [tag.strip() for tag in header.split(",")]:
        raise VersionChanged("Read the object again and repeat your change.", current=etag_for(version))
