"""A narrowing that somebody wants to look at before it is decided: one grant, and what would remain of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import orjson

from governance.kernel.documents import InvalidPermission, Permission
from governance.kernel.errors import DomainError
from governance.kernel.inclusion import includes
from governance.kernel.verdicts import Verdict
from identities.models import Grant, GrantVersion

LONGEST_TARGET = 20_000


class InvalidTrial(DomainError):
    """The address names no grant of this identity, or nothing that could remain of it."""

    code = "invalid-trial"
    status = 400
    title = "This can't be compared"


@dataclass(frozen=True, slots=True)
class Narrowing:
    """One grant with what would remain. verdict: whether that lies inside what is held."""

    grant: Grant
    target: Permission
    verdict: Verdict

    @property
    def instead(self) -> Mapping[UUID, Permission]:
        return {self.grant.pk: self.target}


def read_narrowing(*, identity_id: UUID, grant: str, target: str) -> Narrowing | None:
    """What an address asks for; None where it names no grant.

    target: the permission as JSON; empty means that the grant would go. Raises InvalidTrial.
    """
    if not grant:
        return None
    try:
        grant_id = UUID(grant)
    except ValueError:
        raise InvalidTrial("The grant is no id.", field="grant") from None
    version = (
        GrantVersion.objects.filter(
            grant=grant_id, grant__identity=identity_id, grant__retired_at=None, seen_until=None
        )
        .select_related("grant")
        .first()
    )
    if version is None:
        raise InvalidTrial("It does not hold this grant, or no longer.", field="grant")
    held = Permission.from_json(version.permission)
    wanted = _read(target) if target.strip() else Permission(held.dialect, ())
    return Narrowing(version.grant, wanted, includes(held, wanted))


def _read(text: str) -> Permission:
    if len(text) > LONGEST_TARGET:
        raise InvalidTrial(f"What would remain has more than {LONGEST_TARGET:,} characters.", field="target")
    try:
        return Permission.from_json(orjson.loads(text))
    except orjson.JSONDecodeError:
        raise InvalidTrial("What would remain is no JSON.", field="target") from None
    except InvalidPermission as refusal:
        raise InvalidTrial(refusal.message, field="target") from None
