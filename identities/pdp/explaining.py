"""Why a decision is as it is: the grants that speak of the request, in plain words, and the review behind them.

Asked for on request only, and read from the rows themselves: memory holds no labels. The same rules that decided say
how each grant stands.
"""

from typing import Any

from governance.kernel.decisions import compile_permission
from governance.kernel.documents import Permission
from governance.kernel.statements import Statement
from governance.kernel.wording import describe
from identities.models import GrantVersion
from identities.pdp.index import Principal, Terms
from identities.pdp.judging import Judge, Surroundings, Verdict, words_of
from identities.pdp.programs import FastRule, Program
from identities.pdp.reasons import Reason
from identities.pdp.requests import MatchedGrant, Request, Review

# So many grants are named at most; beyond, nobody reads on.
MOST_SHOWN = 20
MOST_READ = 5_000


def explain(judge: Judge, request: Request, verdict: Verdict) -> tuple[tuple[MatchedGrant, ...], Review | None]:
    """The grants that speak of the request, the ones that decided first, and the review of the first. One query."""
    principal = verdict.principal
    domain = judge.shared.domain(request.domain)
    if principal is None or domain is None:
        return (), None
    around = Surroundings(judge, request, principal, domain)
    found: list[tuple[int, MatchedGrant, Review | None]] = []
    for version in _held(principal):
        compiled = compile_permission(Permission.from_json(version.permission))
        program = Program.of(compiled)
        terms = _terms(version)
        action, resource = words_of(request, program.dialect)
        for rule, written in zip(program.rules, (*compiled.allows, *compiled.denies), strict=True):
            if action not in rule.actions or resource not in rule.resources:
                continue
            stands = _standing(judge, rule, terms, program, (action, resource), around)
            found.append((_rank(rule, stands), _matched(version, written.statement, stands), _review(version)))
            break
    found.sort(key=lambda each: (each[0], each[1].label))
    shown = found[:MOST_SHOWN]
    return tuple(grant for _, grant, _ in shown), shown[0][2] if shown else None


def _held(principal: Principal) -> Any:
    versions = GrantVersion.objects.filter(seen_until=None, grant__retired_at=None, grant__identity=principal.id)
    return versions.select_related("grant").order_by("pk")[:MOST_READ]


def _terms(version: GrantVersion) -> Terms:
    """The terms as memory holds them, from the row."""
    grant = version.grant
    review = ""
    if grant.reviewed_at is not None:
        is_same = grant.reviewed_digest is not None and bytes(grant.reviewed_digest) == bytes(version.digest)
        review = "same" if is_same else "other"
    return Terms(
        is_privileged=grant.is_privileged,
        valid_from=version.valid_from.timestamp() if version.valid_from else None,
        valid_until=version.valid_until.timestamp() if version.valid_until else None,
        review=review,
        approved_until=grant.approved_until.timestamp() if grant.approved_until else None,
        withheld=grant.withheld_why,
        narrowed=Program(Permission.from_json(grant.narrowed_to)) if grant.narrowed_to is not None else None,
        is_bounded=True,
    )


def _standing(
    judge: Judge, rule: FastRule, terms: Terms, program: Program, words: tuple[str, str], around: Surroundings
) -> Reason:
    if not rule.is_deny:
        return judge.stands(rule, terms, program, *words, around)
    said = judge.applies(rule, program, *words, around)
    if said is None:
        return Reason.MISSING_INPUT
    return Reason.DENIED_BY_GRANT if said else Reason.CONDITION_NOT_MET


def _rank(rule: FastRule, stands: Reason) -> int:
    if stands is Reason.DENIED_BY_GRANT:
        return 0
    if stands is Reason.GRANTED:
        return 1
    return 3 if rule.is_deny else 2


def _matched(version: GrantVersion, statement: Statement, stands: Reason) -> MatchedGrant:
    words = "; ".join(describe(Permission(version.permission["dialect"], (statement,))))
    return MatchedGrant(
        grant_id=version.grant_id,
        label=version.grant.label,
        effect=statement.effect,
        stands=stands,
        words=words,
        version=version.number,
        digest=bytes(version.digest),
    )


def _review(version: GrantVersion) -> Review | None:
    grant = version.grant
    if grant.reviewed_at is None:
        return None
    digest = grant.reviewed_digest
    return Review(
        grant_id=grant.pk,
        reviewed_at=grant.reviewed_at,
        approved_until=grant.approved_until,
        saw_this_version=digest is not None and bytes(digest) == bytes(version.digest),
    )
