"""The three answers to whether one permission lies inside another."""

from dataclasses import dataclass, field
from datetime import datetime

from governance.kernel.atoms import Known
from governance.kernel.documents import format_moment


@dataclass(frozen=True)
class Proof:
    """Every request that the narrow side permits is permitted by the wide side."""

    holds = True

    def explain(self) -> str:
        return "Everything that would remain is part of what is held today."


@dataclass(frozen=True)
class CounterExample:
    """A request that the narrow side permits and the wide side does not, checked with `matches`."""

    action: str
    resource: str
    context: Known = field(default_factory=dict, hash=False)
    at: datetime | None = None
    holds = False

    def explain(self) -> str:
        where = ", ".join(
            f"{key} = {value if isinstance(value, str) else ' and '.join(value)}" for key, value in self.context.items()
        )
        when = f" at {format_moment(self.at)}" if self.at else ""
        given = f" (with {where})" if where else ""
        return f"{self.action} on {self.resource}{given}{when} would be permitted, but is not permitted today."


@dataclass(frozen=True)
class NotProvable:
    """Neither proved nor refuted; to be treated as no."""

    reason: str
    holds = False

    def explain(self) -> str:
        return f"This cannot be proved: {self.reason}."


Verdict = Proof | CounterExample | NotProvable
