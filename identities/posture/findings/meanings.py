"""What each rule means for somebody who meets its finding, in our own words.

What a rule looks at, needs and cannot see stands in docs/rules.md.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Meaning:
    """title: the rule in a few words; means: what is wrong and why it matters; fix: the act that ends it (see `acts`)."""

    title: str
    means: str
    fix: str


MEANINGS: dict[str, Meaning] = {
    "NHI1-A": Meaning('Its owner has left', 'Everybody who answered for it has left, so nobody would notice if it were misused.', 'assign_owner'),
    "NHI1-B": Meaning('Nobody answers for it', 'No person answers for it, so no question about it has an answer.', 'assign_owner'),
    "NHI1-C": Meaning('Dormant', 'It has not been used for long although a log was watching. What nobody uses, nobody misses when it is stolen.', 'declare_use'),
    "NHI1-D": Meaning('The work it was made for is gone', 'What it was made for no longer exists, and it still can sign in.', 'quarantine'),
    "NHI1-E": Meaning('Removed access is still there', 'It was to lose this access, and a later reading still shows it.', 'revoke'),
    "NHI1-F": Meaning('Somebody who left could know the secret', 'Somebody who made or read its secret has left, and the secret is still the same.', 'rotate'),
    "NHI2-A": Meaning('A live secret lies in the open', 'A secret that still works was found where it must not be.', 'rotate'),
    "NHI2-B": Meaning('Not rotated after it leaked', 'Its secret leaked and was not replaced in time.', 'rotate'),
    "NHI2-C": Meaning('Kept where secrets do not belong', 'Its secret lies where more people and programs can read it than should.', 'rotate'),
    "NHI2-D": Meaning('Nobody looks for its leaked secrets', 'Nothing looks for its secrets where they could leak, so a leak would stay unseen.', 'read_source'),
    "NHI3-A": Meaning('A vendor with power that nobody has assessed', 'A third party holds privileged access, and nobody has assessed it within a year.', 'record_vendor'),
    "NHI3-B": Meaning("A vendor's access that nobody uses", 'A third party keeps access that it does not use.', 'revoke'),
    "NHI3-C": Meaning('Anybody at the other side may borrow it', "Another party may become this identity, and nothing tells that party's own customers apart.", 'tighten_trust'),
    "NHI3-D": Meaning("Not changed since the vendor's incident", 'A vendor with an open incident holds a credential that was not replaced since.', 'rotate'),
    "NHI3-E": Meaning("A vendor's app with consent for the whole organisation", "A third-party application may read or write everybody's mail, files or directory.", 'narrow'),
    "NHI4-A": Meaning('A deprecated way to sign in', 'It signs in by a method, or with a key, that is known to be weak.', 'move_to_federation'),
    "NHI4-B": Meaning('A static secret where none is needed', 'It keeps a secret although the platform that it runs on could vouch for it without one.', 'move_to_federation'),
    "NHI4-C": Meaning('Proves itself less well than its power demands', 'What it could do asks for stronger proof of who it is than it gives.', 'move_to_federation'),
    "NHI4-D": Meaning('The sign-in of its app can be intercepted', 'The way it is signed in could hand its code or token to somebody else.', 'change_application'),
    "NHI4-E": Meaning('Whoever copies its token can use it', 'Whoever copies its token can use it, and the token opens privileged production.', 'change_application'),
    "NHI4-F": Meaning('Being signed in is all that is asked', 'The system behind it decides nothing after sign-in: whoever gets in may do all that it can do.', 'change_application'),
    "NHI5-A": Meaning('As good as an administrator', 'It may do everything, or give itself the right to do everything.', 'narrow'),
    "NHI5-B": Meaning('Most of its power is never used', 'Most of its privileged and writing permissions were never used while a log was watching.', 'narrow'),
    "NHI5-C": Meaning('Can make itself more powerful', 'It holds permissions by which it can give itself more than it was given.', 'narrow'),
    "NHI5-D": Meaning('A wildcard over restricted data', 'It may reach all of a store with restricted data, not a part of it.', 'narrow'),
    "NHI5-E": Meaning('Power without condition and without end', 'It holds privileged access at all times, under no condition and without an end.', 'limit_in_time'),
    "NHI5-F": Meaning('Power that came past the reviews', 'It got privileged access that nobody asked for here and no review has seen.', 'review'),
    "NHI5-G": Meaning('An agent with too many tools', "An AI agent may call any tool, or one that destroys or sends, without a condition or a person's consent.", 'narrow'),
    "NHI6-A": Meaning('A public issuer may let strangers in', 'Others who use the same public issuer could sign in as this identity.', 'tighten_trust'),
    "NHI6-B": Meaning('A static cloud key in a pipeline', 'A pipeline keeps a cloud key although it could prove itself without one.', 'move_to_federation'),
    "NHI6-C": Meaning("Strangers' code can reach a pipeline's secrets", 'Code that nobody reviewed can run with this identity.', 'change_pipeline'),
    "NHI6-D": Meaning('The default identity can do more than nothing', 'An identity that workloads get without asking holds more than nothing.', 'narrow'),
    "NHI6-E": Meaning('Trust keyed on a name that can change hands', 'The trust names something that can be renamed and taken by others, although a lasting id exists.', 'tighten_trust'),
    "NHI7-A": Meaning('A secret without end', 'The credential works for ever, and so does a copy of it.', 'rotate'),
    "NHI7-B": Meaning('A secret with a far end', 'The credential was issued for longer than the policy allows.', 'rotate'),
    "NHI7-C": Meaning('Not rotated', 'The credential is older than the policy allows.', 'rotate'),
    "NHI7-D": Meaning('A rotation that nobody finished', 'A new credential was made, and the old one still works.', 'deactivate'),
    "NHI7-E": Meaning('Sessions that live too long', 'What it is issued keeps working for longer than the policy allows.', 'change_application'),
    "NHI8-A": Meaning('Reaches production from another environment', 'It belongs to another environment and may act on production.', 'narrow'),
    "NHI8-B": Meaning('One credential in two environments', 'The same credential opens more than one environment.', 'separate'),
    "NHI8-C": Meaning('Production can be entered from another environment', 'An identity of another environment may become this one of production.', 'tighten_trust'),
    "NHI8-D": Meaning('Production shares its root of trust', 'Production and others rely on one issuer, and nothing in the trust tells them apart.', 'tighten_trust'),
    "NHI9-A": Meaning('Shared by several workloads', 'Several applications use it, so none of them can be told or taken apart.', 'separate'),
    "NHI9-B": Meaning('One secret in several places', 'The same secret stands in several places or for several identities.', 'separate'),
    "NHI9-C": Meaning('Used by several callers', 'More than one workload was seen to use it.', 'separate'),
    "NHI9-D": Meaning('A default identity that several share', 'Several applications run under one default identity.', 'separate'),
    "NHI10-A": Meaning('A person works through it', 'Somebody signed in with it by hand, so what they did bears no name.', 'review'),
    "NHI10-B": Meaning('People can sign in with it', 'It may sign in by hand, and no exception says why.', 'change_application'),
    "NHI10-C": Meaning('People can become it at any time', 'People may take its place at any time, without asking for it first.', 'tighten_trust'),
    "POP-1": Meaning('Acts, but is in no inventory', 'Something acts that no inventory holds.', 'read_source'),
    "POP-2": Meaning('The source is not read in time', 'The source was not read in time, or not to its end.', 'read_source'),
    "POP-3": Meaning('Permissions that nobody could read', 'Some of its permissions could not be read, so nothing is known of them.', 'read_source'),
    "POP-4": Meaning('Perhaps the same twice', 'It may be the same as another identity of the inventory.', 'merge'),
    "POP-5": Meaning('Vanished from its source', 'The source held it before and does so no more.', 'review'),
    "TB-1": Meaning('Let in by a system that nobody recorded', "A system lets it in on another system's word, and nobody has written down that it should.", 'record_trust'),
    "TB-2": Meaning('Anybody that the issuer knows may be it', 'Whoever the issuer vouches for may be this identity.', 'tighten_trust'),
    "TB-3": Meaning('Taken away on one side only', 'One side took the access away, and the other still honours what was issued.', 'revoke'),
}


def meaning_of(rule: str) -> Meaning:
    """What a rule means; one that nobody described is called by its id."""
    unknown = Meaning(rule, "A rule says that something is wrong here. What it saw stands below.", "review")
    return MEANINGS.get(rule, unknown)
