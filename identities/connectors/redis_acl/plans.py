"""From a decision to a plan: what a user's list becomes, and what must be out of reach afterwards."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from governance.kernel.dialects.redis import SERVER
from governance.kernel.dialects.redis_rules import Commands
from governance.kernel.permissions import (
    PatternSet,
    Permission,
    Proof,
    Statement,
    difference_samples,
    effective,
    includes,
    sample_requests,
)
from identities.connectors.contract import GrantRef, NotPossible, Plan, SourceChanged
from identities.connectors.redis_acl.accounts import NOTHING, Account, Selector, permission_json
from identities.connectors.redis_acl.assembly import assemble, reversed_image, state_hash, state_of
from identities.connectors.redis_acl.server import Server

MOST_SAMPLES = 100
DEFAULT = "default"
ANYBODY = "Whoever connects without signing in acts as the user default, and is hit as well."


def plan_revoke(server: Server, grant: GrantRef) -> Plan:
    """No commands, keys or channels are left; the user and its passwords stay. Raises NotPossible."""
    account = _current(server, grant)
    return assemble(
        server,
        "revoke",
        grant.identity,
        grant.external_id,
        "selectors",
        state_of("selectors", account),
        [NOTHING.to_json()],
        ends="lingering",
        summary=f"Takes every command, key and channel from {grant.identity}.",
        removes=sample_requests(grant.permission, MOST_SAMPLES),
        side_effects=_side_effects(grant.identity),
    )


def plan_narrow(server: Server, grant: GrantRef, target: Permission) -> Plan:
    """The plan after which only `target` is left of the grant. Raises NotPossible with what stands in the way."""
    account = _current(server, grant)
    for statement in target.statements:
        if statement.until is not None:
            raise NotPossible("Redis cannot end a right by itself; approve it until that date instead.")
        if statement.conditions:
            raise NotPossible("Redis cannot tie a right to conditions; take them out of the target.")
    verdict = includes(grant.permission, target)
    if not isinstance(verdict, Proof):
        raise NotPossible(f"The target is not part of what is held: {verdict.explain()}")
    pieces = _pieces(server, target)
    _require_inside(server, account, pieces)
    selectors = [piece.selector(server, account) for piece in pieces] or [NOTHING]
    result = _permission(server, selectors)
    _require_target(target, result)
    before, after = state_of("selectors", account), [selector.to_json() for selector in selectors]
    if state_hash(server, "selectors", before) == state_hash(server, "selectors", after):
        raise NotPossible("The target is everything that is held; there is nothing to narrow.")
    lost = difference_samples(grant.permission, result, MOST_SAMPLES)
    return assemble(
        server,
        "narrow",
        grant.identity,
        grant.external_id,
        "selectors",
        before,
        after,
        ends="lingering",
        summary=f"Narrows the access list of {grant.identity}.",
        removes=[(each.action, each.resource) for each in lost],
        keeps=sample_requests(result, MOST_SAMPLES),
        side_effects=_side_effects(grant.identity),
    )


def plan_lock_out(server: Server, action: str, identity: str) -> Plan:
    """Nobody signs in as this user any more, and its connections end; what it holds stays. Raises NotPossible."""
    _refuse_self(server, identity)
    account = server.account(identity)
    if account is None:
        raise NotPossible(f"The server has no user {identity!r} any more.")
    if not account.is_enabled:
        raise NotPossible(f"{identity} is off already.")
    return assemble(
        server,
        action,
        identity,
        "",
        "enabled",
        True,
        False,
        ends="all",
        summary=f"Lets nobody sign in as {identity} and ends its open connections.",
        side_effects=_side_effects(identity),
    )


def plan_deactivate(server: Server, identity: str, credential: str) -> Plan:
    """The password stops working: the user is switched off, because only hashes tell its passwords apart.

    Raises NotPossible.
    """
    if credential != f"password:{identity}":
        raise NotPossible(f"Redis knows no credential {credential!r} of {identity}.")
    return plan_lock_out(server, "deactivate", identity)


def plan_restore(server: Server, done: Plan) -> Plan:
    """The plan turned around: from what it led to, back to what it started from."""
    image = reversed_image(done.pre_image)
    return assemble(
        server,
        "restore",
        done.identity,
        done.grant_external_id,
        image["part"],
        image["before"],
        image["after"],
        keeps=(*done.removes, *done.keeps),
        summary=f"Brings back what was taken: {done.summary}",
    )


def _current(server: Server, grant: GrantRef) -> Account:
    """The user as it is now. Raises SourceChanged where the inventory saw something else."""
    if grant.native_ref.get("kind") != "acl":
        raise NotPossible(f"A grant of kind {grant.native_ref.get('kind')!r} cannot be changed here.")
    _refuse_self(server, grant.identity)
    account = server.account(grant.identity)
    seen = state_hash(server, "selectors", grant.native_ref["selectors"])
    if account is None or state_hash(server, "selectors", state_of("selectors", account)) != seen:
        raise SourceChanged(
            f"The access list of {grant.identity} changed since it was last read. Read the source again, then decide "
            "on what it holds now."
        )
    return account


def _refuse_self(server: Server, name: str) -> None:
    if name == server.me:
        raise NotPossible("This is the user that Remit itself signs in as; it cannot take its own access away.")


def _side_effects(identity: str) -> list[str]:
    return [ANYBODY] if identity == DEFAULT else []


def _permission(server: Server, selectors: Sequence[Selector]) -> Permission:
    return Permission.from_json(permission_json(selectors, server.catalogue, server.touches))


@dataclass(frozen=True, slots=True)
class _Piece:
    """One selector in the making."""

    commands: Commands
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()

    def joined(self, other: "_Piece") -> "_Piece":
        commands = Commands(
            self.commands.allowed | other.commands.allowed,
            self.commands.is_open or other.commands.is_open,
            self.commands.first_words | other.commands.first_words,
        )
        return _Piece(commands, self.reads | other.reads, self.writes | other.writes, self.channels | other.channels)

    def selector(self, server: Server, account: Account | None = None) -> Selector:
        """With the held text of the commands, where that means the same."""
        for held in account.selectors if account else ():
            if held.folded(server.catalogue) == self.commands:
                return Selector(held.commands, self.reads, self.writes, self.channels)
        everything = server.catalogue.commands
        if self.commands.is_open:
            words = ["+@all", *(f"-{name}" for name in _short(server, everything - self.commands.allowed))]
        else:
            listed = [*_short(server, self.commands.allowed), *sorted(self.commands.first_words)]
            words = ["-@all", *(f"+{name}" for name in listed)]
        return Selector(" ".join(words), self.reads, self.writes, self.channels)


def _short(server: Server, names: frozenset[str]) -> list[str]:
    """A word in place of all its second words, where they are all there."""
    whole = {word: seconds for word, seconds in server.catalogue.containers.items() if seconds <= names}
    return sorted((names - frozenset().union(*whole.values())) | set(whole))


def _pieces(server: Server, target: Permission) -> list[_Piece]:
    """As few selectors as can hold the target: statements are joined where that gives no more than all of them."""
    pieces: list[_Piece] = []
    for statement in effective(target).statements:
        piece = _piece(server, statement)
        for place, other in enumerate(pieces):
            joined = other.joined(piece)
            if includes(target, _permission(server, [joined.selector(server)])).holds:
                pieces[place] = joined
                break
        else:
            pieces.append(piece)
    return pieces


def _piece(server: Server, statement: Statement) -> _Piece:
    if statement.effect == "deny":
        raise NotPossible("Redis knows no deny; take it out of the target.")
    if statement.resources.exclude:
        raise NotPossible("Redis cannot leave keys or channels out of a pattern; name those that stay.")
    kept, gone = _commands(server, statement.actions.include), _commands(server, statement.actions.exclude)
    left = replace(
        kept,
        allowed=kept.allowed - gone.allowed,
        is_open=kept.is_open and not gone.is_open,
        first_words=kept.first_words - gone.first_words,
    )
    patterns = {kind: frozenset(_patterns(statement.resources, kind)) for kind in ("read", "write", "channel")}
    return _Piece(left, patterns["read"], patterns["write"], patterns["channel"])


def _commands(server: Server, words: Iterable[str]) -> Commands:
    found = Commands(frozenset())
    catalogue = server.catalogue
    for word in map(str.lower, words):
        if word == "*":
            found = replace(found, allowed=catalogue.commands, is_open=True)
        elif word.startswith("@"):
            found = replace(found, allowed=found.allowed | catalogue.of_category(word[1:]))
        elif word in catalogue.categories:
            found = replace(found, allowed=found.allowed | catalogue.named(word))
        elif word.partition("|")[0] in catalogue.categories:
            found = replace(found, first_words=found.first_words | {word})
        else:
            raise NotPossible(f"The server has no command {word!r}.")
    return found


def _patterns(resources: PatternSet, kind: str) -> Iterable[str]:
    for resource in resources.include:
        if resource == "*":
            yield "*"
        elif resource != SERVER and resource.startswith(f"{kind}:"):
            yield resource.removeprefix(f"{kind}:")


def _require_inside(server: Server, account: Account, pieces: Sequence[_Piece]) -> None:
    """Every selector must lie inside one that is held, because all keys of one call need the same selector."""
    for piece in pieces:
        if not any(_is_inside(server, piece, held) for held in account.selectors):
            raise NotPossible(
                "The target mixes what different selectors of this user give, and one call could then use both. Narrow "
                "within one selector at a time."
            )


def _is_inside(server: Server, piece: _Piece, held: Selector) -> bool:
    return piece.commands.within(held.folded(server.catalogue)) and all(
        _covers(getattr(held, name), getattr(piece, name)) for name in ("reads", "writes", "channels")
    )


def _covers(wide: frozenset[str], narrow: frozenset[str]) -> bool:
    if narrow <= wide:
        return True
    one, other = (
        Permission(
            "redis", (Statement(PatternSet(("get",)), PatternSet(tuple(f"read:{each}" for each in sorted(side)))),)
        )
        for side in (wide, narrow)
    )
    return includes(one, other).holds


def _require_target(target: Permission, result: Permission) -> None:
    """What Redis would hold must be the target, no more and, so far as a call makes sense, no less."""
    verdict = includes(target, result)
    if not isinstance(verdict, Proof):
        raise NotPossible(f"Redis cannot hold this target; its list would leave more. {verdict.explain()}")
    lost = difference_samples(target, result, 1)
    if lost:
        raise NotPossible(f"Redis cannot hold this target; {lost[0].action} on {lost[0].resource} would go as well.")
