"""What the filter's fields of posture mean, as conditions. What was never assessed is unmeasured, not fine."""

from django.db.models import Q

from identities.selectors.filters import UNMEASURED, InventoryFilter, Picked

_EXCESS = {"yes": True, "no": False}


def posture_conditions(filters: InventoryFilter, *, at: str = "") -> Q:
    """box, assurance, exposure and excess. at: the path from the listed model to the identity, e.g. `identity__`."""
    of = f"{at}posture__"
    found = Q()
    if picked := filters.picked("box"):
        found &= _either(picked, _in_boxes(picked.values, at))
    if picked := filters.picked("assurance"):
        found &= _either(picked, Q(**{f"{of}assurance_lower__in": [int(level[1:]) for level in picked.values]}))
    if picked := filters.picked("exposure"):
        found &= _either(picked, _exposed(picked.values, of))
    if picked := filters.picked("excess"):
        found &= _either(picked, _with_excess(picked.values, of))
    return found


def _either(picked: Picked, condition: Q) -> Q:
    return ~condition if picked.is_negated else condition


def _in_boxes(boxes: tuple[str, ...], at: str) -> Q:
    found = Q(**{f"{at}posture__box__in": boxes})
    return found | Q(**{f"{at}posture__isnull": True}) if UNMEASURED in boxes else found


def _exposed(ranges: tuple[str, ...], of: str) -> Q:
    found = Q(pk__in=[])
    for part in ranges:
        if part == UNMEASURED:
            found |= Q(**{f"{of}exposure_high__isnull": True})
        else:
            low, high = map(int, part.split("-"))
            # 74.6 is in 50-74: the next range begins at 75.
            found |= Q(**{f"{of}exposure_high__gte": low, f"{of}exposure_high__lt": high + 1})
    return found


def _with_excess(values: tuple[str, ...], of: str) -> Q:
    found = Q(**{f"{of}has_excess__in": [_EXCESS[value] for value in values if value in _EXCESS]})
    return found | Q(**{f"{of}has_excess__isnull": True}) if "unknown" in values else found
