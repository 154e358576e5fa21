"""Rule by rule: what fails, what passes, what can't be judged, and what the rule does not apply to.

Each case is the sound identity of `making.FACTS` with as little changed as the case needs.
"""

from dataclasses import dataclass, replace
from typing import Any

from identities.posture.facts import IdentityFacts, Missing, PersonFacts
from identities.posture.results import Result
from identities.posture.rules.judged import Judged, SourceJudged
from tests.identities.posture.rules.making import (
    GONE,
    HOP,
    OWNER,
    SOURCE,
    TOOL,
    Exposure,
    ago,
    credential,
    facts,
    grant,
    privileged,
    scored,
    source,
    unread_source,
    with_credential,
    with_grant,
    with_source,
    with_trust,
    with_use,
)

FAIL, PASS, UNKNOWN, NOT = Result.FAIL, Result.PASS, Result.NOT_ASSESSABLE, Result.NOT_APPLICABLE
DAY_AGO, YEARS_AGO = ago(1).isoformat(), ago(800).isoformat()
LEAK = {"where": "source: github.com/acme/site", "is_public": True, "first_seen_at": ago(5).isoformat()}
VENDOR: dict[str, Any] = {"is_third_party": True, "vendor": "Acme Analytics"}
ANY_SYSTEM = replace(SOURCE, kind="push")


def account(name: str = "shop/cart", **changes: Any) -> IdentityFacts:
    """A service account of Kubernetes."""
    told = {"subject_kind": "ServiceAccount", **changes.pop("attributes", {})}
    return facts(name=name, source=ANY_SYSTEM, attributes=told, **changes)


def default_account(name: str = "shop/default", **changes: Any) -> IdentityFacts:
    return account(name, **changes)


CLOUD_KEY: dict[str, Any] = {"kind": "access_key"}


@dataclass(frozen=True)
class Case:
    rule: str
    name: str
    result: Result
    given: Judged | SourceJudged
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.rule}: {self.name}"


def _cases(rule: str, *rows: tuple[Any, ...]) -> list[Case]:
    return [
        Case(rule, name, result, Judged(given) if isinstance(given, IdentityFacts) else given, *reason)
        for name, result, given, *reason in rows
    ]


def person(**changes: Any) -> PersonFacts:
    return replace(OWNER, **changes)


def agent(**changes: Any) -> IdentityFacts:
    return facts(kind="ai_agent", **{"grants": (grant(segment="ai_tools"),), "tools": (TOOL,), **changes})


def app(**attributes: Any) -> IdentityFacts:
    return facts(kind="oauth_app", attributes=attributes)


def pipeline(**settings: Any) -> IdentityFacts:
    return facts(kind="ci_job", attributes={"ci": settings})


CODE_FLOW = {"flows": ["authorization_code"], "pkce_required": True, "redirect_uris": ["https://shop.example/back"]}
CASES: tuple[Case, ...] = (
    *_cases(
        "NHI1-A",
        ("its only owner has left", FAIL, facts(people=(person(is_active=False, departed_at=ago(9)),))),
        ("owner left, team goes on", PASS, facts(people=(person(is_active=False), person(role="team")))),
        ("owner left, a backup is no owner", FAIL, facts(people=(person(is_active=False), person(role="backup")))),
        ("its owner is here", PASS, facts()),
        (
            "nobody says whether the owner is here",
            UNKNOWN,
            facts(people=(person(is_active=GONE),)),
            "owner_status_unknown",
        ),
        ("there is no owner", NOT, facts(people=()), "no_owner"),
        ("it is disabled", NOT, facts(is_enabled=False), "disabled"),
    ),
    *_cases(
        "NHI1-B",
        ("nobody", FAIL, facts(people=())),
        ("a sponsor pays and answers for nothing", FAIL, facts(people=(person(role="sponsor"),))),
        ("a team", PASS, facts(people=(person(role="team"),))),
        ("made by the platform", NOT, facts(people=(), is_platform_managed=True), "platform_managed"),
        ("disabled", NOT, facts(people=(), is_enabled=False), "disabled"),
    ),
    *_cases(
        "NHI1-C",
        ("last used 100 days ago", FAIL, with_use(last_used_at=ago(100))),
        ("never used", FAIL, with_use(last_used_at=None)),
        (
            "never used, by a log",
            FAIL,
            facts(source=with_source(lacks=("last_used",)).source, use=with_use(last_used_at=None).use),
        ),
        (
            "privileged, last used 60 days ago",
            FAIL,
            facts(use=with_use(last_used_at=ago(60)).use, grants=(privileged(),)),
        ),
        ("not privileged, last used 60 days ago", PASS, with_use(last_used_at=ago(60))),
        ("used yesterday", PASS, facts()),
        ("made last week and never used", PASS, facts(use=with_use(last_used_at=None).use, created_at=ago(7))),
        ("a yearly job, as declared", PASS, facts(use=with_use(last_used_at=ago(300)).use, expected_cadence_days=380)),
        ("a yearly job, missed", FAIL, facts(use=with_use(last_used_at=ago(390)).use, expected_cadence_days=380)),
        ("no telemetry is not never", UNKNOWN, with_use(last_used_at=GONE), "use_unknown"),
        (
            "watched for a week only",
            UNKNOWN,
            facts(
                source=with_source(lacks=("last_used",)).source,
                use=with_use(last_used_at=None, watched_from=ago(7)).use,
            ),
            "lookback_too_short",
        ),
        (
            "no log at all",
            UNKNOWN,
            facts(
                source=with_source(lacks=("last_used",)).source,
                use=with_use(last_used_at=None, watched_from=None, watched_until=None).use,
            ),
            "no_log",
        ),
        (
            "the log ended a month ago",
            UNKNOWN,
            facts(
                source=with_source(lacks=("last_used",)).source,
                use=with_use(last_used_at=None, watched_until=ago(30)).use,
            ),
            "log_ended",
        ),
        (
            "the source itself is stale",
            UNKNOWN,
            facts(source=with_source(is_fresh=False).source, use=with_use(last_used_at=None).use),
            "stale",
        ),
        ("its age is unknown", UNKNOWN, facts(created_at=GONE, use=with_use(last_used_at=None).use), "age_unknown"),
        ("disabled", NOT, facts(is_enabled=False), "disabled"),
    ),
    *_cases(
        "NHI1-D",
        ("its only workload is archived", FAIL, facts(attributes={"workload_states": {"ledger": "archived"}})),
        ("rights for an account that does not exist", FAIL, facts(attributes={"exists": False})),
        ("one of two goes on", PASS, facts(workloads=("old", "ledger"))),
        ("its workload lives", PASS, facts()),
        ("no source says which workloads", UNKNOWN, facts(workloads=GONE), "workload_unknown"),
        ("linked to none", UNKNOWN, facts(workloads=()), "no_workload_link"),
        ("nobody knows whether it lives", UNKNOWN, facts(attributes={"workload_states": {}}), "workload_state_unknown"),
        ("disabled", NOT, facts(is_enabled=False), "disabled"),
    ),
    *_cases(
        "NHI1-E",
        ("removed, and seen again", FAIL, facts(removals=2, removed_but_present=("administer",))),
        ("removed, and gone", PASS, facts(removals=2)),
        ("removed, and not looked at since", UNKNOWN, replace(with_source(is_fresh=False), removals=2), "stale"),
        ("nothing was removed", NOT, facts(), "nothing_removed"),
    ),
    *_cases(
        "NHI1-F",
        ("whoever made it left after the last change", FAIL, with_credential(creator_departed_at=ago(3))),
        ("never changed since", FAIL, with_credential(creator_departed_at=ago(3), last_rotated_at=None)),
        ("changed since", PASS, with_credential(creator_departed_at=ago(12))),
        ("whoever made it is here", PASS, facts()),
        ("nobody knows who made it", UNKNOWN, with_credential(created_by=GONE), "creator_unknown"),
        ("nobody knows whether they left", UNKNOWN, with_credential(creator_departed_at=GONE), "departure_unknown"),
        ("nobody knows when it changed", UNKNOWN, with_credential(creator_departed_at=ago(3), last_rotated_at=GONE)),
        ("no credentials to see", UNKNOWN, replace(with_source(lacks=("credentials",)), credentials=()), "not_covered"),
        ("no secret", NOT, with_credential(kind="platform_issued"), "keyless"),
    ),
    *_cases(
        "NHI2-A",
        ("in a public repository", FAIL, with_credential(attributes={"leaks": [LEAK]})),
        ("in a wiki", FAIL, with_credential(attributes={"leaks": [LEAK | {"where": "wiki", "is_public": False}]})),
        ("found in the vault it belongs to", PASS, with_credential(attributes={"leaks": [LEAK | {"where": "vault"}]})),
        ("looked for and not found", PASS, facts()),
        ("never looked for", UNKNOWN, with_credential(attributes={"scanned_at": None}), "no_scanner"),
        (
            "looked for a month ago",
            UNKNOWN,
            with_credential(attributes={"scanned_at": ago(30).isoformat()}),
            "scan_stale",
        ),
        (
            "what the scanner says makes no sense",
            UNKNOWN,
            with_credential(attributes={"leaks": "none"}),
            "leaks_malformed",
        ),
        ("no secret", NOT, with_credential(kind="federated_trust"), "keyless"),
    ),
    *_cases(
        "NHI2-B",
        (
            "five days in public, not changed",
            FAIL,
            with_credential(last_rotated_at=ago(10), attributes={"leaks": [LEAK]}),
        ),
        ("changed since", PASS, with_credential(last_rotated_at=ago(2), attributes={"leaks": [LEAK]})),
        (
            "there is still time",
            PASS,
            with_credential(attributes={"leaks": [LEAK | {"is_public": False}]}),
        ),
        (
            "no word about changes",
            UNKNOWN,
            with_credential(last_rotated_at=GONE, attributes={"leaks": [LEAK]}),
            "rotation_unknown",
        ),
        (
            "no word about when",
            UNKNOWN,
            with_credential(attributes={"leaks": [{"where": "chat"}]}),
            "leak_time_unknown",
        ),
        ("never looked for", UNKNOWN, with_credential(attributes={"scanned_at": None}), "no_scanner"),
        ("no leak", NOT, facts(), "no_leak"),
    ),
    *_cases(
        "NHI2-C",
        ("plain in a configuration", FAIL, with_credential(storage="plaintext_config")),
        ("in the source code", FAIL, with_credential(storage="source: ledger/settings.py")),
        ("in a vault", PASS, facts()),
        ("nobody knows", UNKNOWN, with_credential(storage=GONE), "storage_unknown"),
        ("a place that says nothing", UNKNOWN, with_credential(storage="outside, by reference"), "storage_unknown"),
        ("no secret", NOT, with_credential(kind="jwt_svid"), "keyless"),
    ),
    *_cases(
        "NHI2-D",
        ("a scanner looks", PASS, facts()),
        ("none looks", UNKNOWN, facts(attributes={"scanned_at": None}), "no_scanner"),
        ("it stopped looking", UNKNOWN, facts(attributes={"scanned_at": ago(30).isoformat()}), "scan_stale"),
        ("nobody knows where to look", UNKNOWN, facts(workloads=GONE), "workload_unknown"),
        ("no secret", NOT, with_credential(kind="jwt_svid"), "keyless"),
    ),
    *_cases(
        "NHI3-A",
        (
            "powerful, assessed years ago",
            FAIL,
            facts(**VENDOR, grants=(privileged(),), attributes={"vendor_assessed_at": YEARS_AGO}),
        ),
        (
            "powerful, never assessed",
            FAIL,
            facts(**VENDOR, grants=(privileged(),), attributes={"vendor_assessed_at": None}),
        ),
        (
            "writes in production, never assessed",
            FAIL,
            facts(**VENDOR, grants=(grant(classes=frozenset({"write"})),), attributes={"vendor_assessed_at": None}),
        ),
        (
            "powerful, assessed",
            PASS,
            facts(**VENDOR, grants=(privileged(),), attributes={"vendor_assessed_at": DAY_AGO}),
        ),
        ("reads only", PASS, facts(**VENDOR)),
        (
            "writes a place that nobody labelled",
            UNKNOWN,
            facts(
                **VENDOR,
                environment="staging",
                grants=(grant(classes=frozenset({"write"}), resource_environments=GONE, touches_restricted_data=GONE),),
            ),
            "reach_unknown",
        ),
        (
            "writes outside production, nothing restricted",
            PASS,
            facts(
                **VENDOR,
                environment="staging",
                grants=(grant(classes=frozenset({"write"}), resource_environments=frozenset({"staging"})),),
            ),
        ),
        ("no record of an assessment", UNKNOWN, facts(**VENDOR, grants=(privileged(),)), "assessment_unknown"),
        ("nobody knows whose it is", UNKNOWN, facts(is_third_party=GONE), "vendor_unknown"),
        ("our own", NOT, facts(), "first_party"),
    ),
    *_cases(
        "NHI3-B",
        ("the contract ended", FAIL, facts(**VENDOR, attributes={"vendor_contract_ends_at": DAY_AGO})),
        ("unused for 70 days", FAIL, facts(**VENDOR, use=with_use(last_used_at=ago(70)).use)),
        ("in use, contract runs", PASS, facts(**VENDOR, attributes={"vendor_contract_ends_at": ago(-100).isoformat()})),
        ("in use, no word of the contract", UNKNOWN, facts(**VENDOR), "contract_unknown"),
        ("no telemetry", UNKNOWN, facts(**VENDOR, use=with_use(last_used_at=GONE).use), "use_unknown"),
        ("our own", NOT, facts(), "first_party"),
    ),
    *_cases(
        "NHI3-C",
        (
            "another account, no condition",
            FAIL,
            facts(
                trusts=(
                    with_trust(
                        issuer="AWS account 210987654321",
                        audience="",
                        subject="arn:aws:iam::210987654321:root",
                        conditions={},
                    ).trusts
                ),
                attributes={"own_accounts": ["123456789012"]},
            ),
        ),
        ("anybody, no condition", FAIL, with_trust(issuer="any AWS account", audience="", subject="", conditions={})),
        (
            "a condition",
            PASS,
            with_trust(issuer="AWS account 210987654321", audience="", conditions={"sts:externalid": "(set)"}),
        ),
        ("issuer, subject and audience", PASS, with_trust(conditions={})),
        (
            "conditions not told",
            UNKNOWN,
            with_trust(issuer="AWS account 210987654321", audience="", conditions={}, are_conditions_known=False),
            "conditions_unknown",
        ),
        (
            "whose account it is nobody said",
            UNKNOWN,
            with_trust(issuer="AWS account 210987654321", audience="", conditions={}),
            "own_accounts_unknown",
        ),
        (
            "an account of our own",
            NOT,
            facts(
                trusts=(with_trust(issuer="AWS account 123456789012", audience="", conditions={}).trusts),
                attributes={"own_accounts": ["123456789012"]},
            ),
            "own_account",
        ),
        (
            "a part of the platform",
            NOT,
            with_trust(issuer="ec2.amazonaws.com", subject="", audience="", conditions={}),
            "platform_service",
        ),
        ("nobody else vouches for it", NOT, facts(trusts=()), "no_trust"),
    ),
    *_cases(
        "NHI3-D",
        ("an incident since the last change", FAIL, facts(**VENDOR, attributes={"vendor_incident_at": DAY_AGO})),
        ("changed since", PASS, facts(**VENDOR, attributes={"vendor_incident_at": ago(15).isoformat()})),
        ("no incident", PASS, facts(**VENDOR, attributes={"vendor_incident_at": None})),
        ("nobody keeps incidents", UNKNOWN, facts(**VENDOR), "incident_unknown"),
        (
            "nobody knows when it changed",
            UNKNOWN,
            facts(
                **VENDOR, credentials=(credential(last_rotated_at=GONE),), attributes={"vendor_incident_at": DAY_AGO}
            ),
            "rotation_unknown",
        ),
        ("our own", NOT, facts(), "first_party"),
    ),
    *_cases(
        "NHI3-E",
        (
            "everybody's mail",
            FAIL,
            facts(**VENDOR, kind="oauth_app", attributes={"consent": {"kind": "tenant", "scopes": ["Mail.ReadWrite"]}}),
        ),
        (
            "one user's mail",
            PASS,
            facts(**VENDOR, kind="oauth_app", attributes={"consent": {"kind": "user", "scopes": ["Mail.ReadWrite"]}}),
        ),
        ("consent not told", UNKNOWN, facts(**VENDOR, kind="oauth_app"), "consent_unknown"),
        (
            "scopes not told",
            UNKNOWN,
            facts(**VENDOR, kind="oauth_app", attributes={"consent": {"kind": "tenant"}}),
            "scopes_unknown",
        ),
        ("no app", NOT, facts(**VENDOR), "no_oauth_app"),
    ),
    *_cases(
        "NHI4-A",
        ("resource owner's password", FAIL, with_credential(method="ropc")),
        ("a short key", FAIL, with_credential(kind="x509", key_algorithm="rsa", key_bits=1024)),
        ("signed with SHA-1", FAIL, with_credential(attributes={"signature": "SHA1"})),
        ("signed by its own key", PASS, facts()),
        ("a long key", PASS, with_credential(kind="x509", key_algorithm="rsa", key_bits=4096)),
        ("method unknown", UNKNOWN, with_credential(method=GONE), "method_unknown"),
        (
            "length of the key unknown",
            UNKNOWN,
            with_credential(kind="x509", key_algorithm="rsa", key_bits=GONE),
            "key_bits_unknown",
        ),
        ("no credential", NOT, facts(credentials=()), "no_credentials"),
    ),
    *_cases(
        "NHI4-B",
        ("a key where an instance profile would do", FAIL, facts(attributes={"runtime": "ec2"})),
        ("no secret", PASS, with_credential(kind="platform_issued")),
        ("where it runs nobody knows", UNKNOWN, facts(attributes={"runtime": 7}), "runtime_unknown"),
        ("runs in a place that nobody knows", UNKNOWN, facts(attributes={"runtime": "mainframe"}), "runtime_unknown"),
        ("nothing but keys there", NOT, facts(attributes={"runtime": "saas"}), "keys_only"),
        ("disabled", NOT, facts(is_enabled=False), "disabled"),
    ),
    *_cases(
        "NHI4-C",
        ("even the upper bound is too low", FAIL, scored((1, 1), (30, 30))),
        ("critical, not attested", FAIL, scored((3, 3), (90, 90), grants=(privileged(ends_at=None),))),
        (
            "critical, not attested, given for an hour",
            PASS,
            scored((3, 3), (90, 90), grants=(privileged(ends_at=ago(0), first_seen_at=ago(0.04)),)),
        ),
        ("enough", PASS, scored((3, 3), (60, 60))),
        ("enough for the whole range", PASS, scored((4, 4), (10, 90))),
        ("between the bounds of assurance", UNKNOWN, scored((1, 3), (60, 60)), "assurance_range"),
        ("between the bounds of exposure", UNKNOWN, scored((2, 2), (30, 60)), "exposure_range"),
        (
            "exposure unmeasured",
            UNKNOWN,
            Judged(facts(), scored((1, 1), (0, 0)).assurance, Exposure(0, 0, False)),
            "exposure_unknown",
        ),
        ("no scores", UNKNOWN, facts(), "not_scored"),
    ),
    *_cases(
        "NHI4-D",
        ("no PKCE", FAIL, app(oauth=CODE_FLOW | {"pkce_required": False})),
        ("a wildcard in a redirect", FAIL, app(oauth=CODE_FLOW | {"redirect_uris": ["https://*.shop.example/back"]})),
        ("a redirect without TLS", FAIL, app(oauth=CODE_FLOW | {"redirect_uris": ["http://shop.example/back"]})),
        ("a redirect to the own machine", PASS, app(oauth=CODE_FLOW | {"redirect_uris": ["http://127.0.0.1:8080/"]})),
        ("as it should be", PASS, app(oauth=CODE_FLOW)),
        ("registration not told", UNKNOWN, app(), "registration_unknown"),
        ("PKCE not told", UNKNOWN, app(oauth={"flows": ["authorization_code"], "redirect_uris": []}), "pkce_unknown"),
        ("another flow", NOT, app(oauth={"flows": ["client_credentials"]}), "no_code_flow"),
        ("no app", NOT, facts(), "no_oauth_app"),
    ),
    *_cases(
        "NHI4-E",
        (
            "a bearer token in production",
            FAIL,
            facts(grants=(privileged(),), credentials=(credential(sender_constrained=False),)),
        ),
        ("a bound token", PASS, facts(grants=(privileged(),))),
        (
            "a bound token, and production by its own label",
            PASS,
            facts(grants=(privileged(resource_environments=GONE),)),
        ),
        (
            "binding unknown",
            UNKNOWN,
            facts(grants=(privileged(),), credentials=(credential(sender_constrained=GONE),)),
            "binding_unknown",
        ),
        (
            "environment unknown",
            UNKNOWN,
            facts(environment="unknown", grants=(privileged(resource_environments=GONE),)),
            "environment_unknown",
        ),
        (
            "signs its requests",
            NOT,
            facts(grants=(privileged(),), credentials=(credential(kind="access_key"),)),
            "proof_of_possession",
        ),
        ("not privileged", NOT, facts(), "not_privileged"),
    ),
    *_cases(
        "NHI4-F",
        ("a sign-in implies everything, in production", FAIL, facts(authz_model="login_implies_all")),
        ("a list of who may come in, in production", FAIL, facts(authz_model="static_allow_list_only")),
        (
            "elsewhere, over restricted data",
            FAIL,
            facts(
                authz_model="login_implies_all", environment="staging", grants=(grant(touches_restricted_data=True),)
            ),
        ),
        ("asked with each request", PASS, facts()),
        ("by roles", PASS, facts(authz_model="roles")),
        (
            "a small tool elsewhere",
            PASS,
            facts(
                authz_model="login_implies_all",
                environment="development",
                grants=(grant(resource_environments=frozenset({"development"})),),
            ),
        ),
        ("nobody said", UNKNOWN, facts(authz_model=GONE), "authz_model_unknown"),
        ("a word that means nothing", UNKNOWN, facts(authz_model="fine"), "authz_model_unknown"),
        (
            "environment unknown",
            UNKNOWN,
            facts(authz_model="login_implies_all", environment=GONE, grants=(grant(resource_environments=GONE),)),
            "environment_unknown",
        ),
    ),
    *_cases(
        "NHI5-A",
        ("everything on everything", FAIL, facts(grants=(privileged(is_admin_equivalent=True),))),
        ("reads one thing", PASS, facts()),
        ("holds nothing", PASS, facts(grants=())),
        ("a grant that nobody understands", UNKNOWN, with_grant(is_parsed=False), "unparsed"),
        ("grants not covered", UNKNOWN, with_source(lacks=("grants",)), "not_covered"),
        ("a stale source", UNKNOWN, with_source(is_fresh=False), "stale"),
    ),
    *_cases(
        "NHI5-B",
        ("nine of ten unused", FAIL, facts(grants=(privileged(),), use=with_use(unused_share=0.9).use)),
        ("one of ten unused", PASS, facts(grants=(privileged(),))),
        ("not measured", UNKNOWN, facts(grants=(privileged(),), use=with_use(unused_share=GONE).use), "unused_unknown"),
        (
            "watched for a month",
            UNKNOWN,
            facts(grants=(privileged(),), use=with_use(unused_share=0.9, watched_from=ago(30)).use),
            "lookback_too_short",
        ),
        ("no log", UNKNOWN, facts(grants=(privileged(),), use=with_use(watched_from=None).use), "no_log"),
        ("reads only", NOT, facts(), "nothing_strong"),
    ),
    *_cases(
        "NHI5-C",
        (
            "may write its own policy",
            FAIL,
            facts(grants=(privileged(primitives=("iam:PutRolePolicy",), direct_primitives=("iam:PutRolePolicy",)),)),
        ),
        ("may pass a role", FAIL, facts(grants=(privileged(primitives=("iam:PassRole",)),))),
        ("none known", PASS, facts()),
        ("a grant that nobody understands", UNKNOWN, with_grant(is_parsed=False), "unparsed"),
    ),
    *_cases(
        "NHI5-D",
        ("every restricted store", FAIL, with_grant(has_wildcard_resource=True, touches_restricted_data=True)),
        ("every harmless store", PASS, with_grant(has_wildcard_resource=True)),
        ("no wildcard", PASS, facts()),
        (
            "nobody labelled them",
            UNKNOWN,
            with_grant(has_wildcard_resource=True, touches_restricted_data=GONE),
            "sensitivity_unknown",
        ),
    ),
    *_cases(
        "NHI5-E",
        ("for ever and always", FAIL, facts(grants=(privileged(condition_sorts=frozenset()),))),
        ("under a condition", PASS, facts(grants=(privileged(),))),
        ("until a date", PASS, facts(grants=(privileged(condition_sorts=frozenset(), ends_at=ago(-5)),))),
        (
            "approved until a date",
            PASS,
            facts(grants=(privileged(condition_sorts=frozenset(), approved_until=ago(-5)),)),
        ),
        ("conditions unknown", UNKNOWN, facts(grants=(privileged(condition_sorts=GONE),)), "limits_unknown"),
        (
            "a platform that knows neither",
            UNKNOWN,
            replace(
                with_source(lacks=("conditions", "grant_expiry")),
                grants=(privileged(condition_sorts=GONE, ends_at=GONE),),
            ),
            "platform_without_limits",
        ),
        (
            "a dialect that knows neither",
            UNKNOWN,
            facts(grants=(privileged(dialect="kubernetes", condition_sorts=frozenset()),)),
            "platform_without_limits",
        ),
        (
            "a dialect that knows neither, approved until a date",
            PASS,
            facts(grants=(privileged(dialect="kubernetes", condition_sorts=frozenset(), approved_until=ago(-5)),)),
        ),
        ("not privileged", NOT, facts(), "not_privileged"),
    ),
    *_cases(
        "NHI5-F",
        (
            "newer than the last review",
            FAIL,
            facts(grants=(grant(), privileged(reviewed_at=None, first_seen_at=ago(3)))),
        ),
        ("reviewed", PASS, facts(grants=(privileged(),))),
        ("older than the last review", PASS, facts(grants=(grant(), privileged(reviewed_at=None)))),
        ("never reviewed", UNKNOWN, facts(grants=(privileged(reviewed_at=None),)), "never_reviewed"),
        ("not privileged", NOT, facts(), "not_privileged"),
    ),
    *_cases(
        "NHI5-G",
        ("every tool of a server", FAIL, agent(grants=(grant(segment="ai_tools", has_wildcard_resource=True),))),
        ("sends mail without asking", FAIL, agent(tools=(replace(TOOL, needs_approval=False),))),
        ("asks before it sends", PASS, agent()),
        ("sends to one address only", PASS, agent(tools=(replace(TOOL, needs_approval=False, has_condition=True),))),
        (
            "nobody knows whether it asks",
            UNKNOWN,
            agent(tools=(replace(TOOL, needs_approval=GONE),)),
            "approval_unknown",
        ),
        ("nobody listed its tools", UNKNOWN, agent(tools=()), "no_tool_list"),
        ("no agent", NOT, facts(), "no_agent"),
    ),
    *_cases(
        "NHI6-A",
        ("every repository of an organisation", FAIL, with_trust(subject="repo:acme/*:*", conditions={})),
        ("everybody on GitHub", FAIL, with_trust(subject="*", conditions={})),
        ("no audience", FAIL, with_trust(audience="")),
        ("one branch of one repository", PASS, facts()),
        ("loose by name, pinned by id", PASS, with_trust(subject="repo:acme/*:*")),
        (
            "loose by name, the rest not told",
            UNKNOWN,
            with_trust(subject="repo:acme/*:*", conditions={}, are_conditions_known=False),
            "conditions_unknown",
        ),
        ("trust not covered", UNKNOWN, replace(with_source(lacks=("trust",)), trusts=()), "not_covered"),
        ("an issuer of our own", NOT, with_trust(is_public_issuer=False), "private_issuer"),
        ("another account", NOT, with_trust(issuer="any AWS account", subject="", conditions={}), "no_token_issuer"),
        ("no trust", NOT, facts(trusts=()), "no_trust"),
    ),
    *_cases(
        "NHI6-B",
        ("in a variable of a pipeline", FAIL, with_credential(**CLOUD_KEY, storage="masked_ci_var")),
        ("in a vault", PASS, with_credential(**CLOUD_KEY)),
        ("nobody knows where", UNKNOWN, with_credential(**CLOUD_KEY, storage=GONE), "storage_unknown"),
        ("somewhere", UNKNOWN, with_credential(**CLOUD_KEY, storage="a safe place"), "storage_unknown"),
        ("another kind", NOT, with_credential(kind="password"), "no_cloud_key"),
        ("no cloud", NOT, account(grants=(grant(dialect="kubernetes"),)), "no_cloud"),
    ),
    *_cases(
        "NHI6-C",
        ("runs code of forks", FAIL, pipeline(runs_untrusted_code=True, environment_protected=True)),
        ("an open environment", FAIL, pipeline(runs_untrusted_code=False, environment_protected=False)),
        ("closed", PASS, pipeline(runs_untrusted_code=False, environment_protected=True)),
        ("half told", UNKNOWN, pipeline(runs_untrusted_code=False), "protection_unknown"),
        ("not told", UNKNOWN, facts(kind="ci_job"), "pipeline_unknown"),
        ("no pipeline", NOT, facts(), "no_pipeline"),
    ),
    *_cases(
        "NHI6-D",
        ("a default account with rights", FAIL, default_account()),
        ("a default account without rights", PASS, default_account(grants=())),
        (
            "mounted and never used",
            FAIL,
            account(attributes={"mounted_by_default": True}, use=with_use(last_used_at=None).use),
        ),
        ("mounted and used", PASS, account(attributes={"mounted_by_default": True})),
        ("not mounted", PASS, account(attributes={"mounted_by_default": False})),
        ("mounting not told", UNKNOWN, account(), "mounting_unknown"),
        (
            "use not told",
            UNKNOWN,
            account(attributes={"mounted_by_default": True}, use=with_use(last_used_at=GONE).use),
            "use_unknown",
        ),
        ("a pipeline that may write", FAIL, pipeline(default_permission="write")),
        ("a pipeline that may read", PASS, pipeline(default_permission="read")),
        ("a pipeline of which nothing is told", UNKNOWN, facts(kind="ci_job"), "pipeline_unknown"),
        ("no default identity", NOT, facts(), "no_default_identity"),
    ),
    *_cases(
        "NHI6-E",
        ("by name only", FAIL, with_trust(conditions={})),
        ("by id", PASS, facts()),
        ("the rest not told", UNKNOWN, with_trust(conditions={}, are_conditions_known=False), "conditions_unknown"),
        ("an issuer without such ids", NOT, with_trust(issuer="https://idp.acme.example"), "no_immutable_claim"),
    ),
    *_cases(
        "NHI7-A",
        ("no end", FAIL, with_credential(expires_at=None)),
        ("an end", PASS, facts()),
        ("end not told", UNKNOWN, with_credential(expires_at=GONE), "expiry_unknown"),
        ("no secret", NOT, with_credential(kind="platform_issued"), "keyless"),
    ),
    *_cases(
        "NHI7-B",
        ("half a year", FAIL, with_credential(expires_at=ago(-160))),
        ("beyond a year", FAIL, with_credential(expires_at=ago(-600))),
        (
            "attested, for a week",
            FAIL,
            with_credential(kind="x509", attested=True, created_at=ago(1), expires_at=ago(-6)),
        ),
        ("two months", PASS, facts()),
        ("beginning not told", UNKNOWN, with_credential(created_at=GONE), "creation_unknown"),
        ("end not told", UNKNOWN, with_credential(expires_at=GONE), "expiry_unknown"),
        ("no end", NOT, with_credential(expires_at=None), "no_expiry"),
    ),
    *_cases(
        "NHI7-C",
        ("unchanged for 200 days", FAIL, with_credential(created_at=ago(200), last_rotated_at=ago(200))),
        ("a key as old as it was made", FAIL, with_credential(created_at=ago(200), last_rotated_at=GONE)),
        ("changed last week", PASS, facts()),
        ("changed last week, its making not told", PASS, with_credential(created_at=GONE)),
        (
            "made last week, changes not told",
            PASS,
            with_credential(kind="password", created_at=ago(7), last_rotated_at=GONE),
        ),
        (
            "an old password, changes not told",
            UNKNOWN,
            with_credential(kind="password", created_at=ago(200), last_rotated_at=GONE),
            "rotation_unknown",
        ),
        ("no times at all", UNKNOWN, with_credential(created_at=GONE, last_rotated_at=GONE), "age_unknown"),
        ("no secret", NOT, with_credential(kind="jwt_svid"), "keyless"),
    ),
    *_cases(
        "NHI7-D",
        ("two keys for 20 days", FAIL, facts(credentials=(credential(created_at=ago(100)), credential()))),
        ("two keys for two days", PASS, facts(credentials=(credential(created_at=ago(2)), credential()))),
        ("one key and one password", PASS, facts(credentials=(credential(kind="password"), credential()))),
        ("one key", PASS, facts()),
        (
            "beginnings not told",
            UNKNOWN,
            facts(credentials=(credential(created_at=GONE), credential())),
            "creation_unknown",
        ),
        ("credentials not covered", UNKNOWN, with_source(lacks=("credentials",)), "not_covered"),
    ),
    *_cases(
        "NHI7-E",
        ("twelve hours", FAIL, with_credential(ttl_seconds=43_200)),
        ("half an hour", PASS, facts()),
        ("a token for half an hour", PASS, with_credential(kind="token")),
        (
            "a token whose life is not told",
            UNKNOWN,
            with_credential(kind="token", ttl_seconds=GONE),
            "session_life_unknown",
        ),
        ("no session", NOT, with_credential(ttl_seconds=None), "no_session"),
        ("a static key", NOT, with_credential(ttl_seconds=GONE), "no_session"),
    ),
    *_cases(
        "NHI8-A",
        ("from staging into production", FAIL, facts(environment="staging")),
        (
            "stays in staging",
            PASS,
            facts(environment="staging", grants=(grant(resource_environments=frozenset({"staging"})),)),
        ),
        ("nobody labelled the identity", UNKNOWN, facts(environment="unknown"), "environment_unknown"),
        (
            "nobody labelled the resources",
            UNKNOWN,
            facts(environment="staging", grants=(grant(resource_environments=GONE),)),
            "resource_environment_unknown",
        ),
        (
            "a grant that nobody understands",
            UNKNOWN,
            facts(
                environment="staging", grants=(grant(resource_environments=frozenset({"staging"}), is_parsed=False),)
            ),
            "unparsed",
        ),
        ("production itself", NOT, facts(), "in_production"),
    ),
    *_cases(
        "NHI8-B",
        ("in staging and production", FAIL, with_credential(attributes={"environments": ["staging", "production"]})),
        ("in production", PASS, facts()),
        ("two credentials, each in production", PASS, facts(credentials=(credential(), credential(kind="password")))),
        (
            "its only credential, by its use",
            FAIL,
            facts(
                credentials=(credential(attributes={"environments": 0}),),
                use=with_use(environments=frozenset({"staging", "production"})).use,
            ),
        ),
        (
            "not told, and use not told",
            UNKNOWN,
            facts(credentials=(credential(attributes={"environments": 0}),), use=with_use(environments=GONE).use),
            "use_environment_unknown",
        ),
        (
            "one of two credentials: use can't tell them apart",
            UNKNOWN,
            facts(credentials=(credential(attributes={"environments": 0}),) * 2),
            "use_environment_unknown",
        ),
    ),
    *_cases(
        "NHI8-C",
        ("from staging", FAIL, facts(environment="staging", hops=(replace(HOP, environment="production"),))),
        ("within staging", PASS, facts(environment="staging", hops=(HOP,))),
        ("can become nobody", PASS, facts(environment="staging")),
        (
            "nobody labelled the other",
            UNKNOWN,
            facts(environment="staging", hops=(replace(HOP, environment="unknown"),)),
            "hop_environment_unknown",
        ),
        ("nobody labelled it", UNKNOWN, facts(environment=GONE, hops=(HOP,)), "environment_unknown"),
        ("trust not covered", UNKNOWN, replace(with_source(lacks=("trust",)), environment="staging"), "not_covered"),
        ("production itself", NOT, facts(), "in_production"),
    ),
    *_cases(
        "NHI8-D",
        ("one issuer for all", FAIL, with_trust(issuer_environments=frozenset({"production", "staging"}))),
        (
            "the subject names the environment",
            PASS,
            with_trust(
                issuer_environments=frozenset({"production", "staging"}),
                subject="repo:acme/ledger:environment:production",
            ),
        ),
        ("an issuer for production", PASS, facts()),
        ("not told", UNKNOWN, with_trust(issuer_environments=GONE), "issuer_environments_unknown"),
        (
            "conditions not told",
            UNKNOWN,
            with_trust(issuer_environments=frozenset({"production", "staging"}), are_conditions_known=False),
            "conditions_unknown",
        ),
        ("no trust", NOT, facts(trusts=()), "no_trust"),
    ),
    *_cases(
        "NHI9-A",
        ("two applications", FAIL, facts(workloads=("ledger", "shop"))),
        ("one application", PASS, facts()),
        ("not told", UNKNOWN, facts(workloads=GONE), "workload_unknown"),
        ("linked to none", UNKNOWN, facts(workloads=()), "no_workload_link"),
    ),
    *_cases(
        "NHI9-B",
        ("in another place too", FAIL, with_credential(same_elsewhere=1)),
        ("nowhere else", PASS, facts()),
        ("no fingerprint", UNKNOWN, with_credential(fingerprint=GONE, same_elsewhere=GONE), "fingerprint_unknown"),
        ("no secret", NOT, with_credential(kind="platform_issued"), "keyless"),
    ),
    *_cases(
        "NHI9-C",
        ("three callers", FAIL, with_use(callers=3)),
        ("one caller", PASS, facts()),
        (
            "many addresses are a hint",
            UNKNOWN,
            facts(use=with_use(callers=GONE).use, attributes={"caller_addresses": 400}),
            "addresses_only",
        ),
        ("not told", UNKNOWN, with_use(callers=GONE), "callers_unknown"),
        ("watched for a week", UNKNOWN, with_use(watched_from=ago(7)), "lookback_too_short"),
    ),
    *_cases(
        "NHI9-D",
        ("two applications by default", FAIL, default_account(workloads=("cart", "shop"))),
        ("a node's role for two", FAIL, facts(attributes={"instance_profiles": ["nodes"]}, workloads=("cart", "shop"))),
        ("one application by default", PASS, default_account()),
        ("not told", UNKNOWN, default_account(workloads=GONE), "workload_unknown"),
        ("the platform's own", NOT, default_account("kube-system/default"), "system_namespace"),
        ("no default identity", NOT, facts(), "no_default_identity"),
    ),
    *_cases(
        "NHI10-A",
        ("at a console last week", FAIL, with_use(interactive_at=ago(7))),
        ("at a console years ago", PASS, with_use(interactive_at=ago(800))),
        ("never", PASS, facts()),
        ("not told", UNKNOWN, with_use(interactive_at=GONE), "session_kind_unknown"),
        ("no log", UNKNOWN, with_use(watched_from=None), "no_log"),
        ("watched for a week", UNKNOWN, with_use(watched_from=ago(7)), "lookback_too_short"),
    ),
    *_cases(
        "NHI10-B",
        ("has a console password", FAIL, facts(has_interactive_login=True)),
        (
            "allowed until next month",
            PASS,
            facts(has_interactive_login=True, attributes={"interactive_allowed_until": ago(-30).isoformat()}),
        ),
        ("was allowed", FAIL, facts(has_interactive_login=True, attributes={"interactive_allowed_until": DAY_AGO})),
        ("none", PASS, facts()),
        ("not told", UNKNOWN, facts(has_interactive_login=GONE), "interactive_login_unknown"),
        ("disabled", NOT, facts(is_enabled=False), "disabled"),
    ),
    *_cases(
        "NHI10-C",
        ("two people", FAIL, facts(human_holders=("ana", "ben"))),
        ("nobody", PASS, facts()),
        ("not told", UNKNOWN, facts(human_holders=GONE), "human_holders_unknown"),
    ),
    *_cases(
        "NHI10-D",
        ("round the clock", PASS, facts(attributes={"office_hours_percent": 30, "from_workstation": False})),
        (
            "office hours only",
            UNKNOWN,
            facts(attributes={"office_hours_percent": 99, "from_workstation": False}),
            "human_pattern",
        ),
        ("not told", UNKNOWN, facts(), "office_hours_unknown"),
    ),
    *_cases(
        "TB-1",
        ("federated, and no record of it", FAIL, facts(trusts=(), credentials=(credential(kind="federated_trust"),))),
        ("recorded", PASS, facts()),
        ("trust not covered", UNKNOWN, replace(with_source(lacks=("trust",)), trusts=()), "not_covered"),
        ("not federated", NOT, facts(trusts=()), "not_federated"),
    ),
    *_cases(
        "TB-2",
        ("anybody at the issuer", FAIL, with_trust(subject="*", conditions={})),
        ("one subject", PASS, facts()),
        ("anybody under a condition", PASS, with_trust(subject="")),
        (
            "the rest not told",
            UNKNOWN,
            with_trust(subject="", conditions={}, are_conditions_known=False),
            "conditions_unknown",
        ),
        ("a part of the platform", NOT, with_trust(issuer="lambda.amazonaws.com", subject=""), "platform_service"),
        ("no trust", NOT, facts(trusts=()), "no_trust"),
    ),
    *_cases(
        "TB-3",
        ("used a day after its end", FAIL, facts(attributes={"revoked_at_issuer": ago(2).isoformat()})),
        ("used within the session's life", PASS, facts(attributes={"revoked_at_issuer": ago(1.01).isoformat()})),
        ("not ended", PASS, facts(attributes={"revoked_at_issuer": None})),
        ("not told", UNKNOWN, facts(), "issuer_state_unknown"),
        ("no trust", NOT, facts(trusts=()), "no_trust"),
    ),
    *_cases(
        "POP-1",
        ("a stranger in the log", FAIL, source(unknown_callers=("old-batch",))),
        ("nobody strange", PASS, source()),
        ("no log", UNKNOWN, source(unknown_callers=Missing("no_log")), "strangers_unknown"),
    ),
    *_cases(
        "POP-2",
        ("never read", FAIL, unread_source(last_success_at=None, is_fresh=False)),
        ("stale", FAIL, unread_source(is_fresh=False)),
        ("failed last time", FAIL, unread_source(error="The password was refused.")),
        ("read in part", FAIL, source(parts_unread=("data events",))),
        ("fresh and whole", PASS, source()),
        ("what was left out nobody kept", UNKNOWN, source(parts_unread=GONE), "reading_unknown"),
        ("switched off", NOT, source(is_enabled=False), "source_off"),
    ),
    *_cases(
        "POP-3",
        ("three of ten", FAIL, source(unparsed=3)),
        ("all understood", PASS, source()),
        ("not counted", UNKNOWN, source(unparsed=GONE), "parsing_unknown"),
        ("no grants", NOT, source(grants=0), "no_grants"),
    ),
    *_cases(
        "POP-4",
        ("one name twice", FAIL, source(duplicates=("ledger",))),
        ("each name once", PASS, source()),
        ("not compared", UNKNOWN, source(duplicates=GONE), "names_unknown"),
    ),
    *_cases(
        "POP-5",
        ("one is gone and nobody removed it", FAIL, source(vanished=("ledger",))),
        ("all are there", PASS, source()),
        ("a first reading", UNKNOWN, source(vanished=GONE), "earlier_readings_unknown"),
        ("a stale source", UNKNOWN, unread_source(is_fresh=False), "stale"),
    ),
)
