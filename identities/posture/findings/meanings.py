"""Why a finding matters, for somebody who meets it, beside what its rule says of itself.

Titles, conditions, cautions and what a rule cannot see stand with the rules (docs/rules.md).
"""

from dataclasses import dataclass

from identities.posture.rules import BY_ID


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a finding's page says of its rule. fix: the act that ends it (see `acts`)."""

    title: str
    why: str
    condition: str = ""
    cautions: str = ""
    blind_spots: str = ""
    fix: str = "review"


WHY: dict[str, str] = {
    "NHI1-A": "Everybody who answered for it has left, so nobody would notice if it were misused.",
    "NHI1-B": "No person answers for it, so no question about it has an answer.",
    "NHI1-C": "What nobody uses, nobody misses when it is stolen.",
    "NHI1-D": "What it was made for no longer exists, and it still can sign in.",
    "NHI1-E": "It was to lose this access, and a later reading still shows it.",
    "NHI1-F": "Somebody who made or read its secret has left, and the secret is still the same.",
    "NHI2-A": "A secret that still works was found where it must not be.",
    "NHI2-B": "Its secret leaked and was not replaced in time.",
    "NHI2-C": "Its secret lies where more people and programs can read it than should.",
    "NHI2-D": "Nothing looks for its secrets where they could leak, so a leak would stay unseen.",
    "NHI3-A": "A third party holds privileged access, and nobody has assessed it within a year.",
    "NHI3-B": "A third party keeps access that it does not use.",
    "NHI3-C": "Another party may become this identity, and nothing tells that party's own customers apart.",
    "NHI3-D": "A vendor with an open incident holds a credential that was not replaced since.",
    "NHI3-E": "A third-party application may read or write everybody's mail, files or directory.",
    "NHI4-A": "It signs in by a method, or with a key, that is known to be weak.",
    "NHI4-B": "It keeps a secret although the platform that it runs on could vouch for it without one.",
    "NHI4-C": "What it could do asks for stronger proof of who it is than it gives.",
    "NHI4-D": "The way it is signed in could hand its code or token to somebody else.",
    "NHI4-E": "Whoever copies its token can use it, and the token opens privileged production.",
    "NHI4-F": "The system behind it decides nothing after sign-in: whoever gets in may do all that it can do.",
    "NHI5-A": "It may do everything, or give itself the right to do everything.",
    "NHI5-B": "Most of its privileged and writing permissions were never used while a log was watching.",
    "NHI5-C": "It holds permissions by which it can give itself more than it was given.",
    "NHI5-D": "It may reach all of a store with restricted data, not a part of it.",
    "NHI5-E": "It holds privileged access at all times, under no condition and without an end.",
    "NHI5-F": "It got privileged access that nobody asked for here and no review has seen.",
    "NHI5-G": "An AI agent does what it is told by what it reads; nothing stands between that and the tool.",
    "NHI6-A": "Others who use the same public issuer could sign in as this identity.",
    "NHI6-B": "A pipeline keeps a cloud key although it could prove itself without one.",
    "NHI6-C": "Code that nobody reviewed can run with this identity.",
    "NHI6-D": "An identity that workloads get without asking holds more than nothing.",
    "NHI6-E": "The trust names something that can be renamed and taken by others, although a lasting id exists.",
    "NHI7-A": "The credential works for ever, and so does a copy of it.",
    "NHI7-B": "The credential was issued for longer than the policy allows.",
    "NHI7-C": "The credential is older than the policy allows.",
    "NHI7-D": "A new credential was made, and the old one still works.",
    "NHI7-E": "What it is issued keeps working for longer than the policy allows.",
    "NHI8-A": "It belongs to another environment and may act on production.",
    "NHI8-B": "The same credential opens more than one environment.",
    "NHI8-C": "An identity of another environment may become this one of production.",
    "NHI8-D": "Production and others rely on one issuer, and nothing in the trust tells them apart.",
    "NHI9-A": "Several applications use it, so none of them can be told or taken apart.",
    "NHI9-B": "The same secret stands in several places or for several identities.",
    "NHI9-C": "More than one workload was seen to use it.",
    "NHI9-D": "Several applications run under one default identity.",
    "NHI10-A": "Somebody signed in with it by hand, so what they did bears no name.",
    "NHI10-B": "It may sign in by hand, and no exception says why.",
    "NHI10-C": "People may take its place at any time, without asking for it first.",
    "POP-1": "Something acts that no inventory holds.",
    "POP-2": "The source was not read in time, or not to its end.",
    "POP-3": "Some of its permissions could not be read, so nothing is known of them.",
    "POP-4": "It may be the same as another identity of the inventory.",
    "POP-5": "The source held it before and does so no more.",
    "TB-1": "A system lets it in on another system's word, and nobody has written down that it should.",
    "TB-2": "Whoever the issuer vouches for may be this identity.",
    "TB-3": "One side took the access away, and the other still honours what was issued.",
}


def meaning_of(rule: str) -> Meaning:
    """What a rule means; one that is no longer applied is called by its id."""
    known = BY_ID.get(rule)
    if known is None:
        return Meaning(rule, "A rule that is no longer applied said that something is wrong here.")
    return Meaning(known.title, WHY.get(rule, ""), known.condition, known.cautions, known.blind_spots, known.fix)
