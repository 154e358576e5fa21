"""What stands between a broken export and an emptied inventory."""

from dataclasses import dataclass

from governance.kernel.errors import DomainError


@dataclass(frozen=True, slots=True)
class Loss:
    """How much of one kind of object a run would retire."""

    kind: str
    retired: int
    current: int

    @property
    def percent(self) -> int:
        """The share, rounded up."""
        return -(-100 * self.retired // self.current) if self.current else 0


class TooManyRetired(DomainError):
    """The run would retire more than the source's limit; a person has to look first."""

    code = "too-many-retired"
    status = 202
    title = "The reading waits for a person"


def exceeds(loss: Loss, *, max_percent: int) -> bool:
    """Whether more than `max_percent` of what the source holds would go. Exactly the limit is still allowed."""
    return loss.retired * 100 > max_percent * loss.current


def describe_losses(losses: list[Loss], *, max_percent: int) -> str:
    """The sentence a person reads before letting the run through."""
    parts = [f"{loss.retired:,} of {loss.current:,} {_PLURAL[loss.kind]} ({loss.percent} %)" for loss in losses]
    return (
        f"This reading would retire {', '.join(parts)}; more than {max_percent} % waits for an administrator. "
        "Nothing was changed."
    )


_PLURAL = {
    "identity": "identities",
    "credential": "credentials",
    "grant": "grants",
    "trust": "trust relations",
    "resource": "resources",
}
