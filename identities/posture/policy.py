"""The policy of posture: its numbers as values, checked field by field, and the version that is in force.

`policy.toml` is version 1 and says what each number means. A policy is never changed in place: whoever changes a number
writes a new version (`identities/posture/settings.py`), and every score and finding keeps the number of its own.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from governance.kernel.errors import DomainError
from identities.models import PosturePolicy

FACTORS = ("privilege", "breadth", "escalation", "environment", "unused", "conditions", "duration")
BANDS = ("contained", "limited", "broad", "critical")
# The words that each factor knows; `unused` is a share and needs none.
VALUES: Mapping[str, tuple[str, ...]] = {
    "privilege": ("none", "read", "write", "bulk_read", "external_send", "destructive", "secret_read", "admin"),
    "breadth": ("one", "set", "service", "account", "organisation"),
    "escalation": ("none", "conditional", "direct"),
    "environment": ("development", "test", "staging", "production", "restricted_production"),
    "conditions": ("per_request", "attribute", "network", "none"),
    "duration": ("hour", "week", "quarter", "longer", "endless"),
}
THRESHOLDS = (
    *("dormant_days", "dormant_privileged_days", "dormant_vendor_days", "log_lag_days"),
    *("secret_rotation_days", "secret_overdue_days", "secret_life_days"),
    *("certificate_life_days", "attested_certificate_life_hours", "session_minutes", "rotation_overlap_days"),
    *("leak_public_hours", "leak_internal_hours", "scan_days", "vendor_assessment_days"),
    *("unused_watched_days", "unused_percent", "callers_watched_days", "interactive_days", "human_hours_percent"),
    *("just_in_time_hours", "revoked_skew_minutes", "vanished_days"),
    *("exception_days", "exception_critical_days", "rsa_bits"),
)
LISTS = ("sanctioned_stores", "unsanctioned_stores", "public_issuers", "deprecated_methods", "bulk_read_breadths")
FIRST = 1
MOST_ENTRIES = 500
LONGEST_ENTRY = 200


class InvalidPolicy(DomainError):
    """A policy that cannot be in force. details["errors"]: `[{"pointer", "reason"}]`, one sentence per bad field."""

    code = "invalid-policy"
    title = "The policy can't be like this"


# (lowest, highest) where it is not 1 to 3,650. Use after less than a week of silence is noted by no reading
# (identities/services/posture_marks.py), so nothing can be dormant sooner.
_RANGES: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(("dormant_days", "dormant_privileged_days", "dormant_vendor_days"), (7, 3_650)),
    **dict.fromkeys(("unused_percent", "human_hours_percent"), (1, 100)),
    "log_lag_days": (0, 365),
    "session_minutes": (1, 44_640),
    "revoked_skew_minutes": (0, 1_440),
    "exception_days": (1, 365),
    "exception_critical_days": (1, 90),
    "rsa_bits": (1_024, 16_384),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """Words that stand for good and bad places, issuers and methods."""

    sanctioned_stores: tuple[str, ...]
    unsanctioned_stores: tuple[str, ...]
    public_issuers: frozenset[str]
    deprecated_methods: frozenset[str]
    bulk_read_breadths: frozenset[str]

    def is_sanctioned(self, storage: str) -> bool:
        """Whether a source's words about storage begin like a store in which secrets may lie."""
        return storage.lower().startswith(self.sanctioned_stores)

    def is_unsanctioned(self, storage: str) -> bool:
        return storage.lower().startswith(self.unsanctioned_stores)

    def is_public(self, issuer: str) -> bool:
        """Whether anybody with an account there could be vouched for by this issuer."""
        return issuer.rstrip("/").lower() in self.public_issuers


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One version, parsed. weights: points of each factor, 100 in all. values: factor → word → 0 to 1.

    thresholds: by name, which ends with the unit (policy.toml says what each means).
    floors: `direct_escalation`, `admin_in_production`. bands: where `limited`, `broad` and `critical` begin.
    required_assurance: 0 to 4 per band, and `critical_just_in_time`.
    """

    number: int
    thresholds: Mapping[str, int]
    weights: Mapping[str, float]
    values: Mapping[str, Mapping[str, float]]
    floors: Mapping[str, float]
    bands: Mapping[str, float]
    required_assurance: Mapping[str, int]
    strong_from: int
    broad_from: float
    most_unknown: float
    lists: Lists

    def band_of(self, exposure: float) -> str:
        """The band of a score from 0 to 100."""
        reached = [name for name in BANDS[1:] if exposure >= self.bands[name]]
        return reached[-1] if reached else BANDS[0]

    def is_strong(self, assurance: int) -> bool:
        return assurance >= self.strong_from

    def is_broad(self, exposure: float) -> bool:
        return exposure >= self.broad_from


def policy_in_force() -> Policy:
    """The version with the highest number; version 1 is written down when it is first asked for. One query."""
    latest = PosturePolicy.objects.order_by("-number").values_list("number", "document").first()
    if latest is None:
        first = first_document()
        PosturePolicy.objects.get_or_create(number=FIRST, defaults={"document": first})
        latest = FIRST, first
    return _parsed(*latest)


def policy_numbered(number: int) -> Policy:
    """An earlier version. Raises PosturePolicy.DoesNotExist."""
    return _parsed(number, PosturePolicy.objects.only("document").get(number=number).document)


def _parsed(number: int, document: Mapping[str, Any]) -> Policy:
    """As `parse_policy`, remembered by number: a version never changes. What is missing comes from version 1, so that
    a policy that was written before a number existed stays readable."""
    known = _remembered.get(number)
    if known is None or known[0] != document:
        known = document, parse_policy(completed(document), number=number)
        _remembered[number] = known
    return known[1]


_remembered: dict[int, tuple[Mapping[str, Any], Policy]] = {}


@lru_cache(maxsize=1)
def _first_text() -> str:
    return (Path(__file__).parent / "policy.toml").read_text(encoding="utf-8")


def first_document() -> dict[str, Any]:
    """Version 1, as it is delivered."""
    return tomllib.loads(_first_text())


def first_policy() -> Policy:
    """Version 1 as values, without a database."""
    return parse_policy(first_document(), number=FIRST)


def completed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document with what it lacks taken from version 1."""
    return _laid_over(first_document(), document)


def _laid_over(whole: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in given.items():
        below = whole.get(name)
        whole[name] = _laid_over(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return whole


def parse_policy(document: object, *, number: int) -> Policy:
    """The policy that a document says. Raises `InvalidPolicy` that names every bad field, not only the first."""
    read = _Reading()
    sections = read.section(document, "", (*_SECTIONS, "values", "lists"))
    for name in _SECTIONS:
        sections[name] = read.section(sections.get(name), f"/{name}", _SECTIONS[name])
    values = _read_values(read, sections.get("values"))
    lists = _read_lists(read, sections.get("lists"))
    thresholds = {
        name: read.whole(sections["thresholds"].get(name), f"/thresholds/{name}", *_RANGES.get(name, (1, 3_650)))
        for name in _SECTIONS["thresholds"]
    }
    weights = _numbers(read, sections, "weights")
    floors, bands = _numbers(read, sections, "floors"), _numbers(read, sections, "bands")
    required = {
        name: read.whole(sections["required_assurance"].get(name), f"/required_assurance/{name}", 0, 4)
        for name in _SECTIONS["required_assurance"]
    }
    picture = sections["picture"]
    strong = read.whole(picture.get("strong_from"), "/picture/strong_from", 1, 4)
    broad = read.number(picture.get("broad_from"), "/picture/broad_from", 0, 100)
    unknown = read.number(picture.get("most_unknown"), "/picture/most_unknown", 0, 100)
    if not read.errors:
        _check_together(read, weights, bands, required)
    if read.errors:
        raise InvalidPolicy(read.sentence(), errors=read.errors)
    return Policy(
        number=number,
        thresholds=thresholds,
        weights=weights,
        values=values,
        floors=floors,
        bands=bands,
        required_assurance=required,
        strong_from=strong,
        broad_from=broad,
        most_unknown=unknown,
        lists=lists,
    )


_SECTIONS: Mapping[str, tuple[str, ...]] = {
    "thresholds": THRESHOLDS,
    "weights": FACTORS,
    "floors": ("direct_escalation", "admin_in_production"),
    "bands": BANDS[1:],
    "required_assurance": (*BANDS, "critical_just_in_time"),
    "picture": ("strong_from", "broad_from", "most_unknown"),
}


class _Reading:
    """Reads members and collects what is wrong with them; a bad one reads as the lowest, so that reading goes on."""

    def __init__(self) -> None:
        self.errors: list[dict[str, str]] = []

    def complain(self, pointer: str, reason: str) -> None:
        self.errors.append({"pointer": pointer, "reason": reason})

    def sentence(self) -> str:
        first = self.errors[0]
        more = f" {len(self.errors) - 1} more fields are wrong." if len(self.errors) > 1 else ""
        return f"{first['pointer'].lstrip('/').replace('/', ' › ') or 'The policy'} {first['reason']}.{more}"

    def section(self, given: object, pointer: str, known: tuple[str, ...]) -> dict[str, Any]:
        """The members of a section; what is not known in it is an error, so that a misspelt one is noticed."""
        if not isinstance(given, Mapping):
            self.complain(pointer, "is missing" if given is None else "must be a section with fields")
            return {}
        for name in given:
            if name not in known:
                self.complain(f"{pointer}/{str(name)[:60]}", "is no field of the policy")
        return {name: given[name] for name in known if name in given}

    def number(self, given: object, pointer: str, lowest: float, highest: float) -> float:
        if isinstance(given, bool) or not isinstance(given, int | float):
            self.complain(pointer, "is missing" if given is None else "must be a number")
            return lowest
        if not lowest <= given <= highest:
            self.complain(pointer, f"must lie between {lowest:g} and {highest:g}")
            return lowest
        return float(given)

    def whole(self, given: object, pointer: str, lowest: int, highest: int) -> int:
        if isinstance(given, float):
            self.complain(pointer, "must be a whole number")
            return lowest
        return int(self.number(given, pointer, lowest, highest))

    def words(self, given: object, pointer: str) -> list[str]:
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
            self.complain(pointer, "is missing" if given is None else "must be a list of texts")
            return []
        if len(given) > MOST_ENTRIES or any(not 0 < len(each.strip()) <= LONGEST_ENTRY for each in given):
            self.complain(pointer, f"takes at most {MOST_ENTRIES} texts of 1 to {LONGEST_ENTRY} characters")
            return []
        return [each.strip().lower() for each in given]


def _numbers(read: _Reading, sections: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, float]:
    found = sections[name]
    return {each: read.number(found.get(each), f"/{name}/{each}", 0, 100) for each in _SECTIONS[name]}


def _read_values(read: _Reading, given: object) -> dict[str, dict[str, float]]:
    factors = read.section(given, "/values", tuple(VALUES))
    found: dict[str, dict[str, float]] = {}
    for factor, words in VALUES.items():
        members = read.section(factors.get(factor), f"/values/{factor}", words)
        found[factor] = {word: read.number(members.get(word), f"/values/{factor}/{word}", 0, 1) for word in words}
        # A factor whose worse words weigh less would let somebody lower a score by holding more.
        if factor != "privilege" and list(found[factor].values()) != sorted(found[factor].values()):
            read.complain(f"/values/{factor}", f"must rise in this order: {', '.join(words)}")
    return found


def _read_lists(read: _Reading, given: object) -> Lists:
    members = read.section(given, "/lists", LISTS)
    words = {name: read.words(members.get(name), f"/lists/{name}") for name in LISTS}
    if strangers := set(words["bulk_read_breadths"]) - set(VALUES["breadth"]):
        known = ", ".join(VALUES["breadth"])
        read.complain("/lists/bulk_read_breadths", f"knows no {sorted(strangers)[0]}; there are {known}")
    return Lists(
        sanctioned_stores=tuple(words["sanctioned_stores"]),
        unsanctioned_stores=tuple(words["unsanctioned_stores"]),
        public_issuers=frozenset(each.rstrip("/") for each in words["public_issuers"]),
        deprecated_methods=frozenset(words["deprecated_methods"]),
        bulk_read_breadths=frozenset(words["bulk_read_breadths"]),
    )


def _check_together(
    read: _Reading, weights: Mapping[str, float], bands: Mapping[str, float], required: Mapping[str, int]
) -> None:
    """What is wrong only beside something else."""
    if abs(sum(weights.values()) - 100) > 0.001:
        read.complain("/weights", f"must add up to 100; they add up to {sum(weights.values()):g}")
    if not 0 < bands["limited"] < bands["broad"] < bands["critical"] <= 100:
        read.complain("/bands", "must rise: limited, broad, critical, each above 0")
    if [required[band] for band in BANDS] != sorted(required[band] for band in BANDS):
        read.complain("/required_assurance", "must not fall from a band to the next")
    if required["critical_just_in_time"] > required["critical"]:
        read.complain("/required_assurance/critical_just_in_time", "must not ask for more than critical")
