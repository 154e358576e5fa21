"""Steps by trust: roles that let an identity in, by its account, by its name, or by a pattern that its name fits."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from django.db import connection

from governance.kernel.decisions import Answer
from governance.kernel.federation import IssuerSort, sort_of_issuer
from governance.kernel.patterns import Pattern, glob
from identities.selectors.reach.hop import Hop
from identities.selectors.reach.starts import CANDIDATES, Held, Instead, Start, held_by, literals_of, said_of

ASSUME = "sts:AssumeRole"
ANY_ACCOUNT = "any AWS account"


@dataclass(frozen=True, slots=True)
class Trusting:
    """A role (or whatever else trusts), and one of its trusts. whole: how many trust the same subject."""

    identity_id: UUID
    name: str
    external_id: str
    environment: str
    issuer: str
    subject: str
    is_open_to_more: bool
    whole: int


_COLUMNS = """i.id, i.name, i.external_id, i.effective_environment, t.issuer, t.subject,
    coalesce(t.conditions <> '{}'::jsonb, false)"""
_LIVE = "t.retired_at IS NULL AND i.retired_at IS NULL AND i.status = 'active'"
_JOIN = "identities_trustrelation t JOIN identities_identity i ON i.id = t.identity_id"
# Of each subject the most powerful first, and how many there are; beyond the limit only what is named one by one.
_BY_SUBJECT = f"""
SELECT id, name, external_id, effective_environment, issuer, subject, has_conditions, whole FROM (
    SELECT {_COLUMNS} AS has_conditions,
           count(*) OVER (PARTITION BY t.subject, t.issuer) AS whole,
           row_number() OVER (
               PARTITION BY t.subject, t.issuer ORDER BY i.privileged_count DESC, i.grant_count DESC, i.id
           ) AS place
    FROM {_JOIN}
    WHERE {_LIVE} AND (t.subject = ANY(%s) OR (t.subject = '' AND t.issuer = '{ANY_ACCOUNT}'))
) ranked WHERE place <= {CANDIDATES} OR external_id = ANY(%s)
"""  # noqa: S608 - constants of this module
_BY_PATTERN = f"""
SELECT {_COLUMNS}, 1 FROM {_JOIN} WHERE {_LIVE} AND t.subject LIKE '%%*%%' LIMIT {CANDIDATES}
"""  # noqa: S608


def hops(starts: Mapping[UUID, Start], instead: Instead) -> Iterator[tuple[UUID, Hop]]:
    """(from, step). Three queries."""
    in_aws = {key: start for key, start in starts.items() if start.account}
    held = held_by(list(in_aws), "aws", [ASSUME], instead)
    names = {start.external_id for start in starts.values()}
    accounts = {start.account for start in in_aws.values()}
    subjects = [*names, *accounts, *(f"arn:aws:iam::{account}:root" for account in accounts)]
    named = sorted({text for each in held.values() for text in literals_of(each, "arn:")})
    exact = _rows(_BY_SUBJECT, [subjects, named])
    patterns = [each for each in _rows(_BY_PATTERN, []) if each.subject.strip("*?")]
    by_subject: dict[str, list[Trusting]] = defaultdict(list)
    for each in exact:
        by_subject[each.subject or ANY_ACCOUNT].append(each)
    for key, start in starts.items():
        if start.account:
            for hop in _of_aws(start, held.get(key, ()), by_subject):
                yield key, hop
        else:
            for each in by_subject.get(start.external_id, ()):
                yield key, _trusted(each)
        for each in patterns:
            if not start.account and _fits(each.subject).matches(start.external_id):
                yield key, _trusted(each)


def _of_aws(start: Start, held: Sequence[Held], by_subject: Mapping[str, Sequence[Trusting]]) -> Iterator[Hop]:
    for each in by_subject.get(start.external_id, ()):
        yield from _assumed(start, held, each, is_named=True)
    if not held:
        return  # an account as a whole is let in: who of it may come, its own policies say
    for subject in (f"arn:aws:iam::{start.account}:root", start.account, ANY_ACCOUNT):
        for each in by_subject.get(subject, ()):
            yield from _assumed(start, held, each, is_named=False)


def _assumed(start: Start, held: Sequence[Held], role: Trusting, *, is_named: bool) -> Iterator[Hop]:
    if role.identity_id == start.id:
        return
    said = said_of(held, ASSUME, role.external_id)
    # Inside one account a trust that names somebody is enough by itself; between accounts both sides have to say yes.
    by_trust_alone = is_named and _account_of(role.external_id) == start.account and said.is_denied is not True
    if said.answer is Answer.NO and not by_trust_alone:
        return
    is_sure = said.answer is Answer.YES or (by_trust_alone and said.is_denied is False)
    yield Hop(
        identity_id=role.identity_id,
        name=role.name,
        via="its trust names it" if by_trust_alone and said.answer is Answer.NO else "may assume it (sts:AssumeRole)",
        is_conditional=role.is_open_to_more or not is_sure,
        grant_id=said.grant_id if said.answer is not Answer.NO else None,
        environment=role.environment,
        # All that a wildcard leads to, where it is more than was looked at.
        whole=role.whole if role.whole > CANDIDATES and _is_open(held) else 1,
    )


def _is_open(held: Sequence[Held]) -> bool:
    return any("*" in statement.resources.include for each in held for statement in each.permission.statements)


def _trusted(role: Trusting) -> Hop:
    """A trust that fits the identity's name. Whether its issuer speaks for it, the name does not tell."""
    is_own = sort_of_issuer(role.issuer) is IssuerSort.PRIVATE and role.subject.startswith("spiffe://")
    return Hop(
        identity_id=role.identity_id,
        name=role.name,
        via=f"trusts {role.issuer} for this name",
        is_conditional=role.is_open_to_more or not is_own,
        environment=role.environment,
    )


def _account_of(arn: str) -> str:
    fields = arn.split(":")
    return fields[4] if len(fields) > 5 else ""


@lru_cache(maxsize=4_096)
def _fits(subject: str) -> Pattern:
    return glob(subject)


def _rows(statement: str, parameters: list[list[str]]) -> list[Trusting]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [Trusting(*row) for row in cursor.fetchall()]
