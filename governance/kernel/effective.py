"""What somebody may really do: what is held, cut by what limits it."""

from dataclasses import dataclass
from datetime import datetime

from governance.kernel.conditions import Context
from governance.kernel.decisions import Answer, matches, stand_of, together
from governance.kernel.documents import Permission


@dataclass(frozen=True)
class Effective:
    """A permission under ceilings: a request passes when the permission and *every* ceiling permit it.

    A ceiling grants nothing. A permissions boundary is one ceiling; of service control policies, each level of the
    organisation is one (`union` of the policies attached there). Taking a ceiling away widens. All are of one dialect;
    raises ValueError otherwise.
    """

    permission: Permission
    ceilings: tuple[Permission, ...] = ()

    def __post_init__(self) -> None:
        if any(each.dialect != self.permission.dialect for each in self.ceilings):
            raise ValueError("a permission and its ceilings are of one dialect")

    @property
    def dialect(self) -> str:
        return self.permission.dialect

    @property
    def parts(self) -> tuple[Permission, ...]:
        """Everything that has to permit a request."""
        return (self.permission, *self.ceilings)

    def matches(self, action: str, resource: str, context: Context | None = None, at: datetime | None = None) -> Answer:
        """Parameters as of `decisions.matches`."""
        answers = {matches(part, action, resource, context, at) for part in self.parts}
        if Answer.NO in answers:
            return Answer.NO
        return Answer.UNKNOWN if Answer.UNKNOWN in answers else Answer.YES


Held = Permission | Effective


def parts_of(held: Held) -> tuple[Permission, ...]:
    """Every permission that has to permit a request; a plain permission is its only part."""
    return held.parts if isinstance(held, Effective) else (held,)


def permits(
    held: Held, action: str, resource: str, context: Context | None = None, at: datetime | None = None
) -> Answer:
    """`matches` for a plain permission and for one under ceilings."""
    if isinstance(held, Effective):
        return held.matches(action, resource, context, at)
    return together([stand_of(held, action, resource, context, at)])
