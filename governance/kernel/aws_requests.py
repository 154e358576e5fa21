"""One request to AWS, decided as AWS does: identity policies, boundary, session, organisation, and resource policy.

    policies = Policies(identity=(read_policy(document),), boundary=read_policy(other))
    decide(policies, Request(action="s3:GetObject", resource="arn:aws:s3:::b/k", principal="arn:aws:iam::1:user/a"))

An explicit deny anywhere ends it. Otherwise every ceiling has to allow, and then: inside one account the identity's
policies or the resource's do, between accounts both have to. Who is named in a resource policy matters: an account
leaves it to its own policies; a user or a session is not held back by what its boundary merely does not mention.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from governance.kernel.conditions import Context, PartlyKnown, values_of
from governance.kernel.decisions import Answer, Rule, all_of, any_of, concerning
from governance.kernel.dialects.aws import from_policy_document
from governance.kernel.documents import Permission, format_moment
from governance.kernel.statements import Statement


def read_policy(document: Mapping[str, Any]) -> Permission:
    """A policy document (decoded JSON) as a permission. Raises ValueError naming what cannot be read."""
    return Permission("aws", from_policy_document(document))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """Everything that may have a say. All are permissions of dialect aws.

    boundary, session: None where there is none; an empty permission allows nothing.
    service_control, resource_control: one entry per level of the organisation (root, units, account), each the policies
    attached there; every level has to allow.
    """

    identity: tuple[Permission, ...] = ()
    boundary: Permission | None = None
    session: tuple[Permission, ...] | None = None
    service_control: tuple[tuple[Permission, ...], ...] = ()
    resource_control: tuple[tuple[Permission, ...], ...] = ()
    resource: Permission | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """principal: an ARN, a service such as `lambda.amazonaws.com`, or empty for somebody unknown to AWS.

    resource_account: whose resource it is; where it is empty, the ARN says so, else it is the principal's own account.
    context: condition keys; None says that nothing is known of them. Who asks, their account and the time are added.
    at: the moment of the request, with a time zone.
    """

    action: str
    resource: str
    principal: str = ""
    resource_account: str = ""
    context: Context | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """answer: yes, no, or unknown where it hangs on something that nobody said.

    reason: `explicit_deny`, `allowed`, `undecided`, or what did not allow: `identity`, `boundary`, `session`,
    `service_control`, `resource_control`, `resource`.
    where: the kind of policy that decides, in the same words. statement: the one that decides, unless a lack does.
    """

    answer: Answer
    reason: str
    where: str = ""
    statement: Statement | None = None

    @property
    def is_allowed(self) -> bool:
        return self.answer is Answer.YES


@dataclass(frozen=True, slots=True)
class _Voice:
    """What one kind of policy says. allows, denies: None where that is open; rules: those that decide it."""

    where: str
    allows: bool | None
    denies: bool | None
    allowing: Rule | None = None
    denying: Rule | None = None


def decide(policies: Policies, request: Request) -> Decision:
    """Whether AWS would let this request through, and which statement decides."""
    who = _Who.of(request)
    context = _completed(request, who)
    identity = _heard("identity", policies.identity, request, context)
    limits = _limits(policies, request, context, who)
    resource = _of_resource(policies, request, context, who)
    voices = [identity, *limits, *(resource.voices)]
    if denial := next((each for each in voices if each.denies), None):
        return Decision(Answer.NO, "explicit_deny", denial.where, _statement(denial.denying))
    found = _allowed(identity, limits, resource, who)
    doubt = next((each for each in voices if each.denies is None), None)
    if doubt is not None and found.answer is not Answer.NO:
        return Decision(Answer.UNKNOWN, "undecided", doubt.where, _statement(doubt.denying))
    return found


# --- who asks ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Who:
    """names: as Principal elements write them. is_inside: whether the resource is of the same account."""

    names: tuple[str, ...]
    account: str
    is_inside: bool
    is_root: bool = False
    is_role: bool = False
    is_service_linked: bool = False
    has_policies: bool = True

    @classmethod
    def of(cls, request: Request) -> "_Who":
        fields = request.principal.split(":", 5)
        if len(fields) < 6:
            name = request.principal
            written = f"Service:{name}" if "." in name and ":" not in name else name
            return cls((written,) if name else (), "", is_inside=False, has_policies=False)
        account, thing = fields[4], fields[5]
        owner = request.resource_account or _account_in(request.resource) or account
        names = [f"AWS:{request.principal}"]
        kind, _, rest = thing.partition("/")
        if kind == "assumed-role":
            names.append(f"AWS:{':'.join((*fields[:2], 'iam', '', account))}:role/{rest.partition('/')[0]}")
        return cls(
            names=tuple(names),
            account=account,
            is_inside=owner == account,
            is_root=thing == "root",
            is_role=kind in ("role", "assumed-role"),
            is_service_linked="role/aws-service-role/" in thing or rest.startswith("AWSServiceRoleFor"),
        )


def _account_in(resource: str) -> str:
    fields = resource.split(":", 5)
    return fields[4] if len(fields) == 6 else ""


def _completed(request: Request, who: _Who) -> Context:
    """The context with what follows from the request itself; what was given is never overwritten."""
    given: Context = request.context or {}
    added: dict[str, str | list[str] | None] = {}
    if who.account:
        added |= {"aws:PrincipalArn": _principal_arn(request, who), "aws:PrincipalAccount": who.account}
        kind, _, name = request.principal.split(":", 5)[5].partition("/")
        if kind == "user":
            added["aws:username"] = name.rpartition("/")[2]
        owner = request.resource_account or _account_in(request.resource) or who.account
        added["aws:ResourceAccount"] = owner
    added["aws:PrincipalIsAWSService"] = "true" if who.names and who.names[0].startswith("Service:") else "false"
    if request.at is not None:
        added |= {"aws:CurrentTime": format_moment(request.at), "aws:EpochTime": str(int(request.at.timestamp()))}
    missing = {name: value for name, value in added.items() if values_of(given, name) is None}
    return PartlyKnown(missing) if request.context is None else {**given, **missing}


def _principal_arn(request: Request, who: _Who) -> str:
    """Of a session, the role's."""
    return (who.names[-1] if who.is_role else who.names[0]).removeprefix("AWS:") if who.names else request.principal


# --- what each kind of policy says ------------------------------------------------------------------------------------


def _heard(where: str, permissions: Iterable[Permission], request: Request, context: Context) -> _Voice:
    """All policies of one kind: any may allow, any may deny."""
    found = [
        each
        for permission in permissions
        for each in concerning(permission, request.action, request.resource, context, request.at)
    ]
    return _voice(where, found)


def _voice(where: str, found: list[tuple[Rule, bool | None]]) -> _Voice:
    allowing = [each for each in found if each[0].statement.effect == "allow"]
    denying = [each for each in found if each[0].statement.effect == "deny"]
    return _Voice(
        where,
        any_of(answer for _, answer in allowing),
        any_of(answer for _, answer in denying),
        _first(allowing),
        _first(denying),
    )


def _first(rules: list[tuple[Rule, bool | None]]) -> Rule | None:
    """One that applies for sure, else one that may."""
    return next((rule for rule, answer in sorted(rules, key=lambda each: each[1] is None)), None)


def _limits(policies: Policies, request: Request, context: Context, who: _Who) -> list[_Voice]:
    """Everything that has to allow as well, and grants nothing."""
    found: list[_Voice] = []
    if who.has_policies and policies.boundary is not None:
        found.append(_heard("boundary", [policies.boundary], request, context))
    if who.has_policies and policies.session is not None:
        found.append(_heard("session", policies.session, request, context))
    if who.has_policies and not who.is_service_linked:
        found += [_heard("service_control", level, request, context) for level in policies.service_control]
    if not who.is_service_linked:
        found += [
            _heard("resource_control", level, request, _asked(context, who.names))
            for level in policies.resource_control
        ]
    return found


@dataclass(frozen=True, slots=True)
class _OfResource:
    """direct: what it says to the one who asks. to_account: what it says to their account. by_session: whether the
    session is named itself. is_needed: whether nothing goes without this policy."""

    direct: _Voice
    to_account: _Voice
    by_session: bool
    is_needed: bool

    @property
    def voices(self) -> tuple[_Voice, ...]:
        return (self.direct,)


def _of_resource(policies: Policies, request: Request, context: Context, who: _Who) -> _OfResource:
    listed = [] if policies.resource is None else [policies.resource]
    direct = _heard("resource", listed, request, _asked(context, who.names))
    root = (f"AWS:arn:aws:iam::{who.account}:root",) if who.account else ()
    to_account = (
        _heard("resource", listed, request, _asked(context, root)) if root else _Voice("resource", False, False)
    )
    named = [
        value for each in (direct.allowing.statement.conditions if direct.allowing else ()) for value in each.values
    ]
    action = request.action.lower()
    return _OfResource(
        direct,
        to_account,
        by_session=bool(who.names) and who.names[0] in named and ":assumed-role/" in who.names[0],
        is_needed=action.startswith(("kms:", "sts:assumerole")) and request.resource != "*",
    )


def _asked(context: Context, names: tuple[str, ...]) -> Context:
    """The context with the one who asks; that is known also where little else is."""
    asked = {**context, "principal": list(names) or ["anonymous"]}
    return PartlyKnown(asked) if isinstance(context, PartlyKnown) else asked


# --- together ---------------------------------------------------------------------------------------------------------


def _allowed(identity: _Voice, limits: list[_Voice], resource: _OfResource, who: _Who) -> Decision:
    own = [each for each in limits if each.where in ("boundary", "session")]
    others = [each for each in limits if each not in own]
    by_identity = all_of([True if who.is_root else identity.allows, *(each.allows for each in own)])
    direct = _direct(own, resource, who)
    by_account = resource.to_account.allows
    if who.is_inside:
        alone = all_of([by_identity, by_account]) if resource.is_needed else by_identity
        granted = any_of([direct, alone])
    elif who.has_policies:
        granted = all_of([by_identity, any_of([resource.direct.allows, by_account])])
    else:
        granted = resource.direct.allows
    answer = all_of([granted, *(each.allows for each in others)])
    if answer:
        voice = resource.direct if direct or not who.has_policies else identity
        return Decision(Answer.YES, "allowed", voice.where, _statement(voice.allowing))
    silent = _silent(identity, own, others, resource, who, granted=granted)
    if answer is None:
        return Decision(Answer.UNKNOWN, "undecided", silent.where, _statement(silent.allowing))
    return Decision(Answer.NO, silent.where, silent.where)


def _direct(own: list[_Voice], resource: _OfResource, who: _Who) -> bool | None:
    """What the resource's policy gives to the one who asks, without a policy of their own."""
    if not who.is_role or resource.by_session:
        return resource.direct.allows
    return all_of([resource.direct.allows, *(each.allows for each in own)])


def _silent(
    identity: _Voice, own: list[_Voice], others: list[_Voice], resource: _OfResource, who: _Who, *, granted: bool | None
) -> _Voice:
    """The first kind of policy without whose word it does not go."""
    if granted is not True:
        if not who.has_policies:
            return resource.direct
        candidates = [identity, *own] if not who.is_root else own
        if not who.is_inside or resource.is_needed:
            candidates = [*candidates, resource.direct]
        for wanted in (False, None):
            if found := next((each for each in candidates if each.allows is wanted), None):
                return found
        return identity
    return next(each for wanted in (False, None) for each in others if each.allows is wanted)


def _statement(rule: Rule | None) -> Statement | None:
    return rule.statement if rule else None
