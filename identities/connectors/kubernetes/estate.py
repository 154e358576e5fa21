"""Who holds what in a cluster, worked out from its objects. Pure.

A *holding* is one subject in one binding, seen from one identity: the thing that a grant of the inventory stands for.
Groups whose members Kubernetes defines itself (all service accounts, those of a namespace, everybody signed in) are
taken apart into their members; other groups are identities of their own, because their members come from the sign-in.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from governance.kernel.dialects import paths
from governance.kernel.dialects.kubernetes import from_rule
from governance.kernel.documents import MAX_PATTERN_LENGTH, MAX_PATTERNS, MAX_STATEMENTS
from governance.kernel.permissions import PatternSet, Permission, Statement
from identities.connectors.kubernetes.objects import (
    GROUP_OF_USERS,
    SERVICE_ACCOUNT,
    Account,
    Binding,
    Role,
    Rule,
    Subject,
    TokenSecret,
    username,
)
from identities.connectors.kubernetes.people import is_machine

DIALECT = "kubernetes"
ANONYMOUS = "system:anonymous"
AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
ALL_ACCOUNTS = "system:serviceaccounts"
EVERYTHING = (Rule(("*",), ("*",), ("*",)), Rule(("*",), urls=("*",)))


@dataclass(frozen=True, slots=True)
class Holding:
    """identity: who holds it, by username. group: the subject, where it is held as a member of that group."""

    identity: str
    binding: Binding
    subject: Subject
    group: str = ""


@dataclass
class Estate:
    """All that was read. machines: names of users and groups that the operator calls machines. is_whole: whether what
    is not here does not exist.
    """

    accounts: Sequence[Account] = ()
    roles: Sequence[Role] = ()
    bindings: Sequence[Binding] = ()
    secrets: Sequence[TokenSecret] = ()
    pods: dict[tuple[str, str], int] = field(default_factory=dict)
    machines: Sequence[str] = ()
    is_whole: bool = True

    @cached_property
    def account_of(self) -> dict[str, Account]:
        return {account.username: account for account in self.accounts}

    @cached_property
    def role_of(self) -> dict[tuple[str, str], Role]:
        return {role.key: role for role in self.roles}

    @cached_property
    def accounts_of_namespace(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for namespace, name in self._known_accounts:
            found[namespace].append(username(namespace, name))
        return found

    @cached_property
    def _known_accounts(self) -> list[tuple[str, str]]:
        """Service accounts that exist, then those that only bindings name."""
        named = (
            subject.account for binding in self.bindings for subject in binding.subjects if subject.account is not None
        )
        return list(dict.fromkeys([*(account.key for account in self.accounts), *named]))

    @cached_property
    def identities(self) -> list[str]:
        """Everybody who is reviewed, by username: service accounts, then other machines that bindings name."""
        found = dict.fromkeys(username(*key) for key in self._known_accounts)
        for binding in self.bindings:
            for subject in binding.subjects:
                if subject.name == UNAUTHENTICATED and self._has_own_members(subject):
                    found.setdefault(ANONYMOUS)
                elif not self._has_own_members(subject) and is_machine(subject, self.machines):
                    found.setdefault(subject.username)
        return list(found)

    def left_out(self) -> Iterator[Subject]:
        """Users and groups that look like people, each once."""
        subjects = dict.fromkeys(subject for binding in self.bindings for subject in binding.subjects)
        return (each for each in subjects if not self._has_own_members(each) and not is_machine(each, self.machines))

    def without_members(self) -> Iterator[tuple[Binding, Subject]]:
        """Groups of Kubernetes' own in bindings of which no member is known: what they hold is nobody's grant."""
        for binding in self.bindings:
            for subject in binding.subjects:
                if self._has_own_members(subject) and not self._members(subject.name):
                    yield binding, subject

    def _has_own_members(self, subject: Subject) -> bool:
        return subject.kind == GROUP_OF_USERS and (
            subject.name in (AUTHENTICATED, UNAUTHENTICATED, ALL_ACCOUNTS)
            or subject.name.startswith(f"{ALL_ACCOUNTS}:")
        )

    def holdings(self) -> Iterator[Holding]:
        """Every holding of every identity."""
        for binding in self.bindings:
            for subject in binding.subjects:
                yield from self._holdings(binding, subject)

    def _holdings(self, binding: Binding, subject: Subject) -> Iterator[Holding]:
        if self._has_own_members(subject):
            for identity in self._members(subject.name):
                yield Holding(identity, binding, subject, subject.name)
        elif is_machine(subject, self.machines):
            yield Holding(subject.username, binding, subject)

    def _members(self, group: str) -> Iterable[str]:
        if group == UNAUTHENTICATED:
            return [ANONYMOUS]
        if group == AUTHENTICATED:
            return [each for each in self.identities if each != ANONYMOUS and not each.startswith("group:")]
        if group == ALL_ACCOUNTS:
            return [each for members in self.accounts_of_namespace.values() for each in members]
        return self.accounts_of_namespace.get(group.removeprefix(f"{ALL_ACCOUNTS}:"), [])

    @cached_property
    def subjects_of_role(self) -> dict[tuple[str, str], set[Subject]]:
        """Everybody bound to a role, people included, over all of its bindings."""
        found: dict[tuple[str, str], set[Subject]] = defaultdict(set)
        for binding in self.bindings:
            found[binding.role_key].update(binding.subjects)
        return found

    @cached_property
    def bindings_of_role(self) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = defaultdict(int)
        for binding in self.bindings:
            found[binding.role_key] += 1
        return found

    def permission(self, binding: Binding) -> Permission:
        """What each subject of the binding may do; empty where the role does not exist."""
        key = (*binding.role_key, binding.meta.namespace)
        if key not in self._permissions:
            role = self.role_of.get(binding.role_key)
            # A part of a cluster seldom shows the roles that every cluster has; this one is the same everywhere.
            is_known = not self.is_whole and binding.role_key == ("", "cluster-admin")
            rules = role.rules if role else EVERYTHING if is_known else ()
            self._permissions[key] = permission_of(rules, binding.meta.namespace or None)
        return self._permissions[key]

    @cached_property
    def _permissions(self) -> dict[tuple[str, str, str], Permission]:
        """Each worked out once, however many hold it."""
        return {}

    @cached_property
    def overstated(self) -> set[tuple[str, str]]:
        """Roles of which `permission` says more than they give, because they have too many rules to be written down."""
        return {role.key for role in self.roles if is_overstated(role.rules)}


def groups_of(identity: str) -> list[str]:
    """The groups of Kubernetes' own that a caller of this name is in."""
    if identity == ANONYMOUS:
        return [UNAUTHENTICATED]
    if identity.startswith("group:"):
        return [identity.removeprefix("group:")]
    account = Subject("User", identity).account
    return [ALL_ACCOUNTS, f"{ALL_ACCOUNTS}:{account[0]}", AUTHENTICATED] if account else [AUTHENTICATED]


def permission_of(rules: Iterable[Rule], namespace: str | None) -> Permission:
    """The permission of a role's rules, bound in a namespace (None: in the whole cluster)."""
    statements = [each for rule in rules for each in _statements(rule, namespace)]
    if len(statements) > MAX_STATEMENTS or sum(_size(each) for each in statements) > MAX_PATTERNS:
        # More than can be written down one by one; what follows from it errs on the side of "may do more".
        scope = "*" if namespace is None else paths.encode(namespace)
        statements = [Statement(PatternSet(("*",)), PatternSet((f"api:{scope}/*/*/*/*",)))]
    return Permission(DIALECT, tuple(dict.fromkeys(statements)))


def is_overstated(rules: Sequence[Rule]) -> bool:
    """Whether `permission_of` writes down more than these rules give, because they are too many."""
    statements = [each for rule in rules for each in _statements(rule, None)]
    return len(statements) > MAX_STATEMENTS or sum(_size(each) for each in statements) > MAX_PATTERNS


def _statements(rule: Rule, namespace: str | None) -> tuple[Statement, ...]:
    """What of a rule can match a request at all: a verb such as `get*` or a URL without a slash never does."""
    return tuple(
        each
        for each in from_rule(
            verbs=[verb for verb in dict.fromkeys(rule.verbs) if _is_verb(verb)],
            namespace=namespace,
            api_groups=list(dict.fromkeys(rule.api_groups)),
            resources=[each for each in dict.fromkeys(rule.resources) if each],
            resource_names=[each for each in dict.fromkeys(rule.resource_names) if each],
            urls=[url for url in dict.fromkeys(rule.urls) if _is_url(url)],
        )
        if max(map(len, each.resources.include)) <= MAX_PATTERN_LENGTH
    )


def _is_verb(verb: str) -> bool:
    return verb == "*" or (bool(verb) and verb.isprintable() and not set("*?") & set(verb))


def _is_url(url: str) -> bool:
    return url.isprintable() and url.startswith(("/", "*"))


def _size(statement: Statement) -> int:
    return len(statement.actions.include) + len(statement.resources.include)


def subject_of(identity: str) -> Subject:
    """The subject that stands for an identity where a binding is made for it."""
    if identity.startswith("group:"):
        return Subject(GROUP_OF_USERS, identity.removeprefix("group:"))
    account = Subject("User", identity).account
    return Subject(SERVICE_ACCOUNT, account[1], account[0]) if account else Subject("User", identity)
