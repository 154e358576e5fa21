"""One request after the other against what was gathered. Pure of the database once `gather` has run."""

from datetime import datetime
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from governance.kernel.attributes import AttributeContext
from governance.kernel.conditions import PartlyKnown
from governance.kernel.dialects import Dialect
from identities.pdp.gathering import AGENT, ON_BEHALF_OF, Gathered, agent_of, delegator_of, is_sound, speaks_of_others
from identities.pdp.guards import cut_off
from identities.pdp.index import Held, Principal, Terms
from identities.pdp.programs import FastRule, Program
from identities.pdp.proving import CREDENTIAL, ISSUER, refuse_proof
from identities.pdp.reasons import Reason
from identities.pdp.requests import Request
from identities.pdp.surroundings import GOVERNED_CONTEXT, request_context, resource_text
from identities.selectors.domains import Domain

MOST_DELEGATORS = 4
# Looked up once: a member of an enumeration is found in Python each time, and these are asked for at every question.
GRANTED, STALE, NO_GRANT, UNKNOWN_RESOURCE = Reason.GRANTED, Reason.STALE, Reason.NO_GRANT, Reason.UNKNOWN_RESOURCE
MISSING_INPUT, CONDITION_NOT_MET = Reason.MISSING_INPUT, Reason.CONDITION_NOT_MET
_CONTEXT = "context."
# What a context tells of others, or of how the subject proved itself.
TOLD = frozenset({ON_BEHALF_OF, AGENT, CREDENTIAL, ISSUER})
# What says most about why no grant stands, first.
_NEAREST = (
    Reason.MISSING_INPUT,
    Reason.CONDITION_NOT_MET,
    Reason.LOW_ASSURANCE,
    Reason.NOT_APPROVED,
    Reason.APPROVAL_LAPSED,
    Reason.TOOL_DRIFTED,
    Reason.NARROWED,
    Reason.WITHHELD,
    Reason.EXPIRED,
)


class Verdict(NamedTuple):
    """Why a request is decided as it is. action, resource: in the words of the grants, for use and the log."""

    reason: Reason
    principal: Principal | None = None
    action: str = ""
    resource: str = ""
    not_assessed: tuple[str, ...] = ()


class _Asker(NamedTuple):
    """Who asks, found once for all questions of a call.

    is_simple: whether nothing but its grants says what it may, as long as a question names nobody else and no proof.
    """

    domain: Domain
    principal: Principal
    is_simple: bool


class Surroundings:
    """What rules look at beside names, made when the first rule asks for it."""

    def __init__(self, judge: "Judge", request: Request, principal: Principal, domain: Domain) -> None:
        self._made_of = (judge, request, principal, domain)
        self.principal = principal

    def value(self, key: str) -> str | list[str] | None:
        """One value. What is plainly said in the context is found without making the whole of it."""
        if key.startswith(_CONTEXT) and key not in GOVERNED_CONTEXT:
            members, name = self._made_of[1].context, key[len(_CONTEXT) :]
            found = members.get(name)
            if type(found) is str and (
                len(members) == 1 or not any(each != name and each.lower() == name for each in members)
            ):
                return found
        return self.known.get(key)

    @cached_property
    def known(self) -> AttributeContext:
        judge, request, principal, domain = self._made_of
        return request_context(request, principal, domain, judge.gathered.resource(request, domain), judge.now)

    @cached_property
    def partly(self) -> PartlyKnown:
        """The same, while other keys may be set too: what a caller leaves out is not known to be absent."""
        return PartlyKnown(self.known)


class Judge:
    """The decisions of one call: what was gathered for it, and the rules."""

    def __init__(self, gathered: Gathered, now: datetime) -> None:
        self.gathered = gathered
        self.now = now
        self.seconds = now.timestamp()
        self.shared = gathered.shared
        self.policy = gathered.shared.policy
        self._wants_approval = self.policy.approval != "none"
        self._wants_assurance = bool(self.policy.least_assurance or self.policy.least_assurance_privileged)
        self._standing: dict[int, Reason | None] = {}
        self._spoken: dict[tuple[int, str], list[Held]] = {}
        self._askers: dict[tuple[str, str, str], _Asker | Reason] = {}

    # --- judging --------------------------------------------------------------------------------------------------

    def judge(self, request: Request) -> Verdict:
        """The verdict on a request that was gathered."""
        if not is_sound(request):
            return Verdict(Reason.MALFORMED)
        key = request.domain, request.subject_type, request.subject_id
        asker = self._askers.get(key)
        if asker is None:
            asker = self._askers[key] = self._asker(request)
        if not isinstance(asker, _Asker):
            return Verdict(asker)
        domain, principal, is_simple = asker
        if is_simple and not request.subject_properties and TOLD.isdisjoint(request.context):
            return self.by_grants(principal, request, domain)
        refusal = self._refuse(principal, request, domain)
        if refusal is not None:
            return Verdict(refusal, principal)
        verdict = self.by_grants(principal, request, domain)
        if verdict.reason is GRANTED and (principal.acts_for or speaks_of_others(request)):
            verdict = self._with_delegator(verdict, principal, request, domain)
            return self._with_agent(verdict, request, domain)
        return verdict

    def _asker(self, request: Request) -> _Asker | Reason:
        """In which domain this is asked, and by whom, or why that is nobody."""
        domain = self.shared.domain(request.domain)
        if domain is None:
            return Reason.UNKNOWN_DOMAIN
        principal = self.gathered.find(domain.source_ids, request.subject_id)
        if isinstance(principal, Reason):
            return principal
        if not domain.admits(request.subject_type, principal.kind):
            return Reason.UNKNOWN_IDENTITY
        is_simple = (
            self._refuse_standing(principal) is None
            and not (self.shared.guards or domain.registered_types or principal.acts_for)
            and self.policy.issuer != "always"
        )
        return _Asker(domain, principal, is_simple)

    def _refuse(self, principal: Principal, request: Request, domain: Domain) -> Reason | None:
        if (
            domain.registered_types
            and domain.is_registered_type(request.resource_type)
            and not self.gathered.is_registered(request)
        ):
            return UNKNOWN_RESOURCE
        refusal = self._refuse_subject(principal, request)
        return refusal or refuse_proof(principal, request, self.policy, self.seconds)

    def _refuse_subject(self, principal: Principal, request: Request) -> Reason | None:
        """Why this identity may nothing at this moment, or not this."""
        refusal = self._standing.get(key := id(principal), GRANTED)
        if refusal is GRANTED:
            refusal = self._standing[key] = self._refuse_standing(principal)
        if (refusal is None or refusal is STALE) and self.shared.guards:
            return cut_off(self.shared.guards, principal, request) or refusal
        return refusal

    def _refuse_standing(self, principal: Principal) -> Reason | None:
        if principal.is_retired:
            return Reason.RETIRED
        if not principal.is_active:
            return Reason.DISABLED
        source = self.shared.sources.get(principal.source_id)
        if source is None or source.seen_at is None:
            return STALE
        limit = self.policy.staleness_seconds
        is_stale = self.seconds - source.seen_at > (source.limit if limit is None else limit)
        return STALE if is_stale else None

    def by_grants(self, principal: Principal, request: Request, domain: Domain) -> Verdict:
        """What the grants of this identity say, whoever asks."""
        words = (request.action, request.resource_id)
        around: Surroundings | None = None
        reasons: list[Reason] = []
        denied: bool | None = False
        granted: tuple[str, str] | None = None
        for dialect, held in principal.rules:
            action, resource = words = words_of(request, dialect)
            about = self._spoken.get((id(held), action))
            # Most rules end here, so nothing is called that an operator can say.
            for _, resources, starts, rule, terms, owner in self._about(held, action) if about is None else about:
                if not (resource in resources if starts is None else resource.startswith(starts)):
                    continue
                if around is None:
                    around = Surroundings(self, request, principal, domain)
                if not rule.is_deny:
                    reason = self.stands(rule, terms, owner, action, resource, around)
                    reasons.append(reason)
                    granted = words if reason is GRANTED else granted
                elif denied is not True and self._is_in_time(terms):
                    said = self.applies(rule, owner, action, resource, around)
                    denied = denied if said is False else said
        action, resource = granted or words
        if granted is not None and denied is False:
            return Verdict(GRANTED, principal, action, resource)
        if around is None:
            return Verdict(NO_GRANT, principal, action, resource)
        reason = _nearest(reasons, denied)
        missing = self._missing(principal, request, around) if reason is MISSING_INPUT else ()
        return Verdict(reason, principal, action, resource, missing)

    def _about(self, held: tuple[Held, ...], action: str) -> list[Held]:
        """The rules that speak of an action; one call often asks for the same action of the same identity."""
        found = self._spoken[id(held), action] = [each for each in held if action in each[0]]
        return found

    def stands(
        self, rule: FastRule, terms: Terms, owner: Program, action: str, resource: str, around: Surroundings
    ) -> Reason:
        """Whether an allowing rule that contains both names permits this; else why not."""
        refusal = self._refuse_terms(terms, action, resource, around) if terms.is_bounded else None
        if refusal is None and self._wants_approval:
            refusal = self._refuse_approval(terms)
        if refusal is not None:
            return refusal
        said = rule.is_plain or self.applies(rule, owner, action, resource, around)
        if said is None:
            return MISSING_INPUT
        if said is False:
            return Reason.EXPIRED if rule.until is not None and self.now >= rule.until else self._unmet(rule, around)
        return (self._refuse_assurance(terms, around) if self._wants_assurance else None) or GRANTED

    def _refuse_terms(self, terms: Terms, action: str, resource: str, around: Surroundings) -> Reason | None:
        if terms.withheld and terms.narrowed is None:
            return Reason(terms.withheld)
        if terms.narrowed is not None and not self._is_within(terms.narrowed, action, resource, around):
            return Reason.NARROWED
        if not self._is_in_time(terms):
            return Reason.EXPIRED
        is_over = terms.approved_until is not None and self.seconds >= terms.approved_until
        return Reason.APPROVAL_LAPSED if is_over else None

    def _refuse_approval(self, terms: Terms) -> Reason | None:
        wanted = self.policy.approval
        if wanted == "none" or terms.review == "same" or (wanted == "privileged" and not terms.is_privileged):
            return None
        return Reason.APPROVAL_LAPSED if terms.review else Reason.NOT_APPROVED

    def _refuse_assurance(self, terms: Terms, around: Surroundings) -> Reason | None:
        least = self.policy.least_assurance_privileged if terms.is_privileged else self.policy.least_assurance
        if not least:
            return None
        assurance = around.principal.assurance
        if assurance is None:
            return MISSING_INPUT
        return Reason.LOW_ASSURANCE if assurance < least else None

    def applies(self, rule: FastRule, owner: Program, action: str, resource: str, around: Surroundings) -> bool | None:
        """Whether a rule that contains both names applies; None where that hangs on what is not known."""
        if rule.is_plain:
            return True
        if rule.until is not None and self.now >= rule.until:
            return False
        doubt = False
        if rule.is_open:
            certain = rule.is_certain(owner.dialect, action, resource, around.partly)
            if certain is False:
                return False
            doubt = certain is None
        for test in rule.tests:
            holds = test.holds(around)
            if holds is False:
                return False
            doubt = doubt or holds is None
        return None if doubt else True

    def _is_within(self, narrowed: Program, action: str, resource: str, around: Surroundings) -> bool:
        """Whether what a review left of a grant permits this for certain."""
        allowed = False
        for rule in narrowed.rules:
            if action in rule.actions and resource in rule.resources:
                said = self.applies(rule, narrowed, action, resource, around)
                if rule.is_deny and said is not False:
                    return False
                allowed = allowed or (not rule.is_deny and said is True)
        return allowed

    def _is_in_time(self, terms: Terms) -> bool:
        if terms.valid_from is not None and self.seconds < terms.valid_from:
            return False
        return terms.valid_until is None or self.seconds < terms.valid_until

    def _unmet(self, rule: FastRule, around: Surroundings) -> Reason:
        """A test that fails because its attribute is absent asks for input; any other is not met."""
        is_only = len(rule.tests) == 1 and not rule.is_open
        failing = rule.tests if is_only else [test for test in rule.tests if test.holds(around) is False]
        if not failing:
            return NO_GRANT
        is_said = any(not test.is_absent_from(around) for test in failing)
        return CONDITION_NOT_MET if is_said else MISSING_INPUT

    def _missing(self, principal: Principal, request: Request, around: Surroundings) -> tuple[str, ...]:
        """What conditions that concern the request ask for and nobody said."""
        missing: set[str] = set()
        for dialect, held in principal.rules:
            action, resource = words_of(request, dialect)
            for actions, resources, _, rule, _, _ in held:
                if action in actions and resource in resources:
                    missing.update(test.key for test in rule.tests if test.is_absent_from(around))
        if not missing and principal.assurance is None:
            missing.add("subject.assurance")
        return tuple(sorted(missing))

    # --- on whose behalf ------------------------------------------------------------------------------------------

    def _with_delegator(self, verdict: Verdict, principal: Principal, request: Request, domain: Domain) -> Verdict:
        """What an agent may do for somebody is what both may do."""
        named = delegator_of(request)
        governed = self.gathered.behind(principal)
        if named is not None:
            found = self.gathered.find(domain.source_ids, named)
            if principal.acts_for and not self._may_act_for(principal, governed, found, named):
                return verdict._replace(reason=Reason.NOT_FOR_DELEGATOR)
            if isinstance(found, Reason):
                return verdict._replace(reason=Reason.UNKNOWN_DELEGATOR)
            governed = found
        if governed is not None:
            return self._both(verdict, governed, request, domain, [principal.id])
        if not principal.acts_for:
            return verdict
        if self.policy.unknown_delegators == "deny":
            return verdict._replace(reason=Reason.UNKNOWN_DELEGATOR)
        return verdict._replace(not_assessed=(*verdict.not_assessed, "delegator"))

    def _may_act_for(
        self, principal: Principal, governed: Principal | None, found: Principal | Reason, named: str
    ) -> bool:
        """Whether the one who is named is the one whom the source names, as far as the inventory can tell."""
        if governed is not None:
            return found is governed
        return named == principal.acts_for or self.policy.unknown_delegators != "deny"

    def _with_agent(self, verdict: Verdict, request: Request, domain: Domain) -> Verdict:
        """Where the caller says that an agent acts for the subject (COAZ: `context.agent`), both must be permitted."""
        named = agent_of(request)
        if named is None or verdict.reason is not GRANTED:
            return verdict
        agent = self.gathered.find(domain.source_ids, named)
        if isinstance(agent, Reason):
            return verdict._replace(reason=Reason.UNKNOWN_AGENT)
        refusal = self._refuse_subject(agent, request)
        if refusal is not None or self.by_grants(agent, request, domain).reason is not GRANTED:
            return verdict._replace(reason=Reason.AGENT_LACKS)
        return verdict

    def _both(
        self, verdict: Verdict, delegator: Principal, request: Request, domain: Domain, seen: list[UUID]
    ) -> Verdict:
        """The verdict, if the delegator may do the same, and whoever stands behind the delegator."""
        while delegator.id not in seen:
            if len(seen) > MOST_DELEGATORS:
                return verdict._replace(reason=Reason.TOO_COMPLEX)
            seen.append(delegator.id)
            if self._refuse_subject(delegator, request) is not None:
                return verdict._replace(reason=Reason.DELEGATOR_LACKS)
            if self.by_grants(delegator, request, domain).reason is not GRANTED:
                return verdict._replace(reason=Reason.DELEGATOR_LACKS)
            self.gathered.meet_delegators([delegator])
            behind = self.gathered.behind(delegator)
            if behind is None:
                return verdict
            delegator = behind
        return verdict


def _nearest(reasons: list[Reason], denied: bool | None) -> Reason:
    """Why nothing is permitted, by what says most about it."""
    if denied is True:
        return Reason.DENIED_BY_GRANT
    if GRANTED in reasons:
        # Whether a deny applies hangs on what is not known.
        return MISSING_INPUT
    return next((each for each in _NEAREST if each in reasons), NO_GRANT)


def words_of(request: Request, dialect: Dialect) -> tuple[str, str]:
    """Action and resource in the form in which a dialect compares them."""
    resource = resource_text(dialect.name, request.resource_type, request.resource_id)
    return dialect.fold_action(request.action), dialect.fold_resource(resource)
