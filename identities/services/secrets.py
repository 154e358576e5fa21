"""Secrets of connectors: the database holds references, the values stay where the operator put them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from governance.kernel.errors import DomainError

MOST_BYTES = 64 * 1024
_REFERENCE = re.compile(r"(env|file):(.+)", re.DOTALL)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Remit's own keys must not leave by being sent to a source as its password.
_OWN = frozenset(
    {
        *("SECRET_KEY", "DATABASE_URL", "CELERY_BROKER_URL", "CELERY_PGMQ_DSN", "EMAIL_URL"),
        *("AUDIT_KEY_FILE", "WEBHOOK_KEY_FILE"),
    }
)


class SecretMissing(DomainError):
    """A reference leads nowhere. The message names the reference, never a value."""

    code = "secret-missing"
    title = "A secret of this source can't be found"


def is_reference(value: Any) -> bool:
    """Whether this setting points to a secret instead of holding a value."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def resolve_secrets(settings: Mapping[str, Any]) -> dict[str, str]:
    """The values behind every `env:NAME` and `file:/path` among the settings, by setting name.

    Only the connector that asks for them gets them; they are never logged or stored. Raises `SecretMissing`.
    """
    return {name: _resolve(name, value) for name, value in settings.items() if is_reference(value)}


def check_reference(name: str, reference: str) -> None:
    """Refuse a reference that could never be followed. Raises `SecretMissing`."""
    found = _REFERENCE.fullmatch(reference)
    kind, target = found.groups() if found else ("", "")
    if kind == "env" and not _ENV_NAME.fullmatch(target):
        raise SecretMissing(f"{name}: env: must be followed by the name of an environment variable.", setting=name)
    if kind == "env" and target in _OWN:
        raise SecretMissing(f"{name}: {target} is Remit's own and is never given to a source.", setting=name)
    if kind == "file" and not Path(target).is_absolute():
        raise SecretMissing(f"{name}: file: must be followed by an absolute path.", setting=name)


def _resolve(name: str, reference: str) -> str:
    check_reference(name, reference)
    kind, _, target = reference.partition(":")
    value = os.environ.get(target) if kind == "env" else _read(name, Path(target))
    if not value:
        raise SecretMissing(f"{name}: {reference} is not set, or is empty.", setting=name)
    return value


def _read(name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise SecretMissing(f"{name}: {path} is too large to be a secret.", setting=name)
        return data.decode().rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise SecretMissing(f"{name}: {path} can't be read.", setting=name) from error
