"""What a kind of source can say beside actions and resources: a condition on the request, a moment at which it ends.

Data about languages, so that a form offers only what the source can express; what is not listed is not expressible.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from governance.kernel.documents import Permission, format_moment
from governance.kernel.errors import DomainError
from governance.kernel.statements import Condition, Statement


class NotSayable(DomainError):
    """The source's language has no words for this condition or end."""

    code = "not-sayable"
    title = "The source cannot express this"


@dataclass(frozen=True, slots=True)
class Limits:
    """operators: the kernel's name to plain words. keys: the usual ones with plain words; others are taken as well.

    ends: whether a statement can end by itself at a moment.
    """

    operators: tuple[tuple[str, str], ...] = ()
    keys: tuple[tuple[str, str], ...] = ()
    ends: bool = False


NONE = Limits()
_LIMITS = {
    "aws": Limits(
        operators=(
            ("IpAddress", "is within the network"),
            ("NotIpAddress", "is outside of the network"),
            ("StringEquals", "is"),
            ("StringNotEquals", "is not"),
            ("StringLike", "looks like (* stands for anything)"),
            ("ArnLike", "is the resource name (ARN)"),
            ("Bool", "is true or false:"),
            ("NumericLessThanEquals", "is at most"),
            ("DateGreaterThan", "is after"),
            ("DateLessThan", "is before"),
        ),
        keys=(
            ("aws:SourceIp", "address the request comes from"),
            ("aws:SourceVpc", "private network it comes from"),
            ("aws:SourceVpce", "network endpoint it comes through"),
            ("aws:PrincipalOrgID", "organisation of the caller"),
            ("aws:RequestedRegion", "region that is asked"),
            ("aws:SecureTransport", "whether the connection is encrypted"),
            ("aws:MultiFactorAuthPresent", "whether a second factor was used"),
            ("aws:SourceArn", "resource on whose behalf"),
            ("aws:CurrentTime", "time of the request"),
        ),
        ends=True,
    ),
}


def limits_of(dialect: str) -> Limits:
    """What statements of this dialect can say beside actions and resources."""
    return _LIMITS.get(dialect, NONE)


def limited(permission: Permission, conditions: Iterable[Condition], ends_at: datetime | None) -> Permission:
    """The same permission with further conditions and an end on everything that it allows; denies stay as they are.

    The end is written in the source's own words, so that what is shown is what can be carried out. Raises NotSayable.
    """
    added = tuple(conditions)
    can = limits_of(permission.dialect)
    if added and not can.operators:
        raise NotSayable("This kind of source has no conditions: what it grants holds at any time and from anywhere.")
    unknown = [each.operator for each in added if each.operator not in dict(can.operators)]
    if unknown:
        raise NotSayable(f"This kind of source has no condition “{unknown[0]}”.")
    if ends_at is not None:
        if not can.ends:
            raise NotSayable("Access of this kind of source cannot end by itself.")
        added = (*added, Condition("DateLessThan", "aws:CurrentTime", (format_moment(ends_at),)))
    return Permission(permission.dialect, tuple(_with(each, added) for each in permission.statements))


def _with(statement: Statement, added: tuple[Condition, ...]) -> Statement:
    if statement.effect == "deny" or not added:
        return statement
    return replace(statement, conditions=tuple(dict.fromkeys((*statement.conditions, *added))))
