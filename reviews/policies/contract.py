"""What every topic of a review's rules has in common."""

from collections.abc import Mapping
from typing import Any, Protocol

from governance.kernel.errors import DomainError


class InvalidPolicy(DomainError):
    """A choice that cannot be kept. `details["fields"]` says what is wrong, per field of the topic."""

    code = "invalid-policy"
    title = "These rules cannot be used"

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()), fields=dict(problems))


class Topic(Protocol):
    """One module's choices: a frozen dataclass whose fields are what people settle."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Topic":
        """Read what was kept or sent; absent members are defaults. Raises InvalidPolicy."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The whole topic as plain JSON, defaults included."""
        ...
