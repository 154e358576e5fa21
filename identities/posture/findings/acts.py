"""The act that ends a finding at its root, by what a rule names as its `fix`, and where it is done.

`place` says which page does it: "owner" (edit the identity), "narrow" (a trial on the access itself), "review" (a
review of just this), "rotate" (a review of the credentials), "source" (the source's own page) or "" for what is done
outside of Remit. Wherever it is done, the next reading says whether it worked.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Act:
    """label: a button's words; does: what happens then, or what to do elsewhere; icon: beside the label."""

    label: str
    does: str
    place: str
    icon: str


ACTS: dict[str, Act] = {
    "assign_owner": Act("Name an owner", "One person answers for it from then on.", "owner", "user-check"),
    "declare_use": Act(
        "Ask whether it is still needed",
        "A review asks whoever answers for it; what nobody needs is taken away.",
        "review",
        "help",
    ),
    "narrow": Act(
        "Try less access",
        "Remit proposes what was used, proves that it is less, and shows what it would break.",
        "narrow",
        "cut",
    ),
    "revoke": Act(
        "Ask whether it may go", "A review of just this access, and an order that takes it away.", "review", "ban"
    ),
    "limit_in_time": Act(
        "Try less access",
        "Narrow it, or approve it until a date in a review, so that it does not stand for ever.",
        "narrow",
        "hourglass",
    ),
    "rotate": Act(
        "Ask for its rotation",
        "A review of its credentials: whoever answers for it keeps, rotates by a date or deactivates each.",
        "rotate",
        "rotate",
    ),
    "deactivate": Act(
        "Ask whether it may be switched off",
        "A review of its credentials; what may go is deactivated.",
        "rotate",
        "power",
    ),
    "quarantine": Act(
        "Ask whether it may go",
        "A review of what it holds; it can be locked out first and removed later.",
        "review",
        "lock",
    ),
    "review": Act("Look at it in a review", "Somebody accountable looks and decides.", "review", "clipboard-check"),
    "move_to_federation": Act(
        "Let its platform vouch for it",
        "Replace the secret by what the platform issues: a role, a workload identity, a federation. Then end it.",
        "",
        "shield-check",
    ),
    "tighten_trust": Act(
        "Tighten the trust",
        "At the source, name whom the issuer may vouch for: the exact subject, the audience and a condition.",
        "",
        "shield-check",
    ),
    "record_trust": Act(
        "Record the trust", "Write down who may vouch for it and who answers for that.", "", "file-text"
    ),
    "separate": Act(
        "Give each its own identity",
        "Make one identity per application and environment, then take this one away.",
        "",
        "git-compare",
    ),
    "record_vendor": Act(
        "Have the vendor assessed", "Record the assessment, or take away what the vendor holds.", "", "file-text"
    ),
    "change_application": Act(
        "Change the application", "Where it is registered or configured; Remit cannot do it.", "", "settings"
    ),
    "change_pipeline": Act(
        "Change the pipeline", "In its workflow or its environment; Remit cannot do it.", "", "settings"
    ),
    "read_source": Act("Look at the source", "Read it again, or see why the reading fell short.", "source", "database"),
    "merge": Act(
        "Find out whether they are the same", "Look at both in the inventory and at their source.", "", "git-compare"
    ),
}


def act_of(fix: str) -> Act:
    """What ends it; a fix that nobody described is looked at in a review."""
    return ACTS.get(fix, ACTS["review"])
