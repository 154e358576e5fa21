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
    "NHI1-A": "Nobody would notice if it were misused, and nobody can say whether it is still needed.",
    "NHI1-B": "Questions about it go to nobody, so nothing about it is ever decided.",
    "NHI1-C": "What nobody uses, nobody misses when it is stolen.",
    "NHI1-D": "It still can sign in, for a purpose that is over.",
    "NHI1-E": "What was decided is not what is so; the access works on.",
    "NHI1-F": "A leaver could use it from outside, and it would look like the workload.",
    "NHI2-A": "Whoever finds it can use it until it is replaced.",
    "NHI2-B": "Whoever found it then can use it still.",
    "NHI2-C": "More people and programs can read it than should be able to use it.",
    "NHI2-D": "A leak of its secrets would stay unseen.",
    "NHI3-A": "Whatever happens to the vendor happens to what the vendor may do here.",
    "NHI3-B": "A door that nobody walks through is a door that nobody watches.",
    "NHI3-C": "Another customer of the same party could have it act here.",
    "NHI3-D": "What was stolen there still opens doors here.",
    "NHI3-E": "One application of others sees everybody's mail, files or directory.",
    "NHI4-A": "The proof can be guessed, copied or forged with known means.",
    "NHI4-B": "A secret can be copied; what the platform vouches for cannot.",
    "NHI4-C": "Whoever takes it over gains more than its proof keeps safe.",
    "NHI4-D": "A stranger could be handed its code or token.",
    "NHI4-E": "A copied token works from anywhere, on privileged production.",
    "NHI4-F": "Whoever gets in may do all that the application can do.",
    "NHI5-A": "Whoever takes it over owns the system.",
    "NHI5-B": "What it does not use helps only somebody who takes it over.",
    "NHI5-C": "What it was given is not the limit of what it can do.",
    "NHI5-D": "One mistake or one theft reaches all of the data.",
    "NHI5-E": "It can be misused at any hour, from anywhere, for ever.",
    "NHI5-F": "Nobody has said that it should have this.",
    "NHI5-G": "An agent does what it is told by what it reads; nothing stands between that and the tool.",
    "NHI6-A": "Others who use the same issuer could sign in as this identity.",
    "NHI6-B": "Whoever reads the pipeline's settings can act in the cloud.",
    "NHI6-C": "Code that nobody reviewed could run with this identity.",
    "NHI6-D": "Every workload that asks for nothing gets this, too.",
    "NHI6-E": "Whoever gets the name next gets the trust with it.",
    "NHI7-A": "A copy of it works for ever.",
    "NHI7-B": "A copy of it works for very long.",
    "NHI7-C": "A copy that was made at any time since then still works.",
    "NHI7-D": "The old one still works, though nobody needs it.",
    "NHI7-E": "Taking access away takes effect late.",
    "NHI8-A": "A test that goes wrong, or is broken into, goes wrong in production.",
    "NHI8-B": "Whoever reads it where little is guarded can use it where much is.",
    "NHI8-C": "Whoever gets into the weaker side gets into production.",
    "NHI8-D": "Nothing tells the two sides apart when the issuer vouches for somebody.",
    "NHI9-A": "None of them can be told from the others, limited or cut off alone.",
    "NHI9-B": "One leak opens several doors, and one rotation breaks several workloads.",
    "NHI9-C": "Nobody can say which of them did something.",
    "NHI9-D": "What one of them needs, all of them may do.",
    "NHI10-A": "What was done bears no person's name.",
    "NHI10-B": "A person could work under its name unseen.",
    "NHI10-C": "People could use its power without asking for it or being seen.",
    "POP-1": "Something acts here about which nothing is decided.",
    "POP-2": "What is said about this source may no longer be so.",
    "POP-3": "What could not be read is in no count and no review.",
    "POP-4": "Each half looks harmless; together they may not be.",
    "POP-5": "It was either removed, or the reading lost sight of it.",
    "TB-1": "Nobody has said that this issuer may let anybody in.",
    "TB-2": "Whoever the issuer vouches for may be this identity.",
    "TB-3": "Access that was taken away still works until the token ends.",
}


def meaning_of(rule: str) -> Meaning:
    """What a rule means; one that is no longer applied is called by its id."""
    known = BY_ID.get(rule)
    if known is None:
        return Meaning(rule, "A rule that is no longer applied said that something is wrong here.")
    return Meaning(known.title, WHY.get(rule, ""), known.condition, known.cautions, known.blind_spots, known.fix)
