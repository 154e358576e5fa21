"""Steps inside a Kubernetes cluster: acting as somebody by impersonation, or by a token made for a service account."""

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from django.db import connection

from governance.kernel.decisions import Answer
from governance.kernel.dialects import paths
from governance.kernel.dialects.kubernetes import resource
from identities.selectors.reach.hop import Hop
from identities.selectors.reach.starts import CANDIDATES, Held, Instead, Start, held_by, said_of

_ACCOUNT = "system:serviceaccount:"
_GROUP = "group:"
# Of each cluster the most powerful first, and how many there are; beyond the limit only what is named one by one.
_TARGETS = f"""
SELECT id, source_id, name, external_id, effective_environment, whole FROM (
    SELECT i.id, i.source_id, i.name, i.external_id, i.effective_environment,
           count(*) OVER (PARTITION BY i.source_id) AS whole,
           row_number() OVER (
               PARTITION BY i.source_id ORDER BY i.privileged_count DESC, i.grant_count DESC, i.id
           ) AS place
    FROM identities_identity i
    WHERE i.source_id = ANY(%s) AND i.retired_at IS NULL AND i.status = 'active'
) ranked WHERE place <= {CANDIDATES} OR external_id = ANY(%s)
"""  # noqa: S608 - constants of this module
Target = tuple[UUID, UUID, str, str, str, int]


def hops(starts: Mapping[UUID, Start], instead: Instead) -> Iterator[tuple[UUID, Hop]]:
    """(from, step). Two queries."""
    held = held_by(list(starts), "kubernetes", ["impersonate", "create"], instead)
    acting = {key: found for key, each in held.items() if (found := [one for one in each if _may_act(one)])}
    if not acting:
        return
    named = sorted({name for each in acting.values() for name in _named(each)})
    with connection.cursor() as cursor:
        cursor.execute(_TARGETS, [list({starts[key].source_id for key in acting}), named])
        targets: list[Target] = cursor.fetchall()
    for key, grants in acting.items():
        for target in targets:
            if target[1] == starts[key].source_id and target[0] != key:
                yield from ((key, hop) for hop in _steps(grants, target))


def _steps(held: Sequence[Held], target: Target) -> Iterator[Hop]:
    """The first of the ways that leads there."""
    identity_id, _, name, external_id, environment, whole = target
    for via, action, wanted in _ways(external_id):
        said = said_of(held, action, wanted)
        if said.answer is not Answer.NO:
            yield Hop(
                identity_id=identity_id,
                name=name,
                via=via,
                is_conditional=said.answer is Answer.UNKNOWN,
                grant_id=said.grant_id,
                environment=environment,
                whole=whole if whole > CANDIDATES and _is_open(held, action) else 1,
            )
            return


def _ways(external_id: str) -> Iterator[tuple[str, str, str]]:
    """(words, verb, resource) of every request by which somebody acts as this one."""
    if external_id.startswith(_ACCOUNT):
        namespace, _, name = external_id.removeprefix(_ACCOUNT).partition(":")
        yield "may act as it (impersonate)", "impersonate", resource(namespace, "", "serviceaccounts", "", name)
        yield (
            "may issue its tokens (serviceaccounts/token)",
            "create",
            resource(namespace, "", "serviceaccounts", "token", name),
        )
    kind, name = (
        ("groups", external_id.removeprefix(_GROUP)) if external_id.startswith(_GROUP) else ("users", external_id)
    )
    yield "may act as it (impersonate)", "impersonate", resource("", "", kind, "", name)


def _may_act(held: Held) -> bool:
    """Whether it speaks of acting as others at all: most that may create something may not."""
    return any(
        statement.effect == "allow"
        and (
            {"impersonate", "*"} & set(statement.actions.include)
            or any("/serviceaccounts/token/" in text or "/*/" in text for text in statement.resources.include)
        )
        for statement in held.permission.statements
    )


def _is_open(held: Sequence[Held], action: str) -> bool:
    return any(
        text.endswith("*") or text == "*"
        for each in held
        for statement in each.permission.statements
        if {action, "*"} & set(statement.actions.include)
        for text in statement.resources.include
    )


def _named(held: Sequence[Held]) -> Iterator[str]:
    """External ids of targets that rules name one by one."""
    for each in held:
        for statement in each.permission.statements:
            for text in statement.resources.include:
                kind, elements = paths.split(text)
                if kind != "api" or len(elements) != 5 or elements[4] in ("", "*"):
                    continue
                namespace, _, noun, _, name = elements
                if noun == "serviceaccounts":
                    yield f"{_ACCOUNT}{namespace}:{name}"
                else:
                    yield f"{_GROUP}{name}" if noun == "groups" else name
