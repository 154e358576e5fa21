"""What a caller of the API may say: parameters and members that the endpoint knows, and nothing else."""

from collections.abc import Collection
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from governance.kernel.errors import DomainError

PAGING = frozenset({"cursor", "limit"})


class UnknownParameter(DomainError):
    """A misspelt parameter must not be taken for its absence: `dryrun=true` would be applied."""

    code = "unknown-parameter"
    status = 400
    title = "This parameter is not known here"


class InvalidParameter(DomainError):
    """A parameter has a value that it doesn't take."""

    code = "invalid-parameter"
    status = 400
    title = "This parameter can't be read"


def require_known_parameters(request: Request, known: Collection[str]) -> None:
    """Raises `UnknownParameter`."""
    for name in request.query_params:
        if name not in known:
            words = ", ".join(sorted(known)) or "none"
            raise UnknownParameter(f"There is no parameter {name[:60]!r}; known are {words}.")


def checked(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The validated body. Raises the framework's ValidationError, also for members that nobody knows."""
    form = serializer(data=request.data)
    form.is_valid(raise_exception=True)
    unknown = set(request.data) - set(form.fields)
    if unknown:
        raise serializers.ValidationError(dict.fromkeys(sorted(map(str, unknown))[:20], "There is no such member."))
    return dict(form.validated_data)
