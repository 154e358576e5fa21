"""What two conditions on the same key have to do with each other, whatever the context is.

A condition whose values hold policy variables is a yes-or-no of its own wherever its key is set. Some of these are
known to belong together: a test and its negation, values and more values, an equality and the glob around it.
"""

from dataclasses import dataclass
from functools import lru_cache

from governance.kernel import variables
from governance.kernel.attributes import is_attribute
from governance.kernel.conditions import Operator, decidable, evaluate, if_missing, parse_operator
from governance.kernel.ranges import Value, representative_values
from governance.kernel.statements import Condition

Known = dict[str, str | list[str]]


@dataclass(frozen=True, slots=True, order=True)
class Atom:
    """The positive form that a condition and its complement share, for a context in which the key is set."""

    relation: str
    sort: str
    negated: bool
    qualifier: str
    key: str
    values: tuple[str, ...]

    @property
    def operator(self) -> Operator:
        return Operator(self.sort, self.relation, self.negated, qualifier=self.qualifier)


@lru_cache(maxsize=16_384)
def atom_of(condition: Condition) -> tuple[Atom, bool] | None:
    """The atom, and whether the condition says it (True) or its opposite; None for an unknown operator.

    Of an attribute, neither a test nor its opposite holds where a value is left open: opposites have no atom there.
    """
    operator = parse_operator(condition.operator)
    if operator is None or operator.sort == "null":
        return None
    values = tuple(sorted(set(condition.values)))
    if is_attribute(condition.key) and (operator.negated or operator.qualifier == "ForAllValues"):
        return None
    if not operator.qualifier:
        return Atom(operator.relation, operator.sort, False, "", condition.key, values), not operator.negated
    # "All are X" is "not: any is not X".
    is_any = operator.qualifier == "ForAnyValue"
    negated = operator.negated if is_any else not operator.negated
    return Atom(operator.relation, operator.sort, negated, "ForAnyValue", condition.key, values), is_any


@lru_cache(maxsize=16_384)
def atom_implies(first: Atom, second: Atom) -> bool:
    """Whether the second is seen to hold wherever the first does (the key being set). Sound, not complete."""
    if (first.key, first.sort, first.qualifier, first.negated) != (
        second.key, second.sort, second.qualifier, second.negated,
    ):  # fmt: skip
        return False
    if first.negated:
        first, second = second, first
    if first.relation == second.relation and set(first.values) <= set(second.values):
        return True
    if first.sort != "text" or first.relation not in ("equals", "like") or second.relation not in ("equals", "like"):
        return False
    is_wild = {"wide_wild": second.relation == "like", "narrow_wild": first.relation == "like"}
    return all(any(variables.covers(wide, narrow, **is_wild) for wide in second.values) for narrow in first.values)


@lru_cache(maxsize=32_768)
def implies(first: Condition, second: Condition) -> bool:
    """Whether the second condition holds in every context in which the first does. Sound, not complete."""
    if first == second:
        return True
    if first.key != second.key:
        return False
    if decidable(first) and decidable(second):
        values = representative_values((first, second))
        if values is not None:
            contexts = [context_of(first.key, value) for value in values]
            return all(_at_least(evaluate(second, each), evaluate(first, each)) for each in contexts)
    return _implies_by_form(first, second)


def _at_least(second: bool | None, first: bool | None) -> bool:
    """Whether the second answer is no weaker. What is left open is no where something is allowed, yes where denied."""
    return first is False or second is True or (first is None and second is None)


def _implies_by_form(first: Condition, second: Condition) -> bool:
    """The same where values are not all known: by what is said of a missing key, and by the atoms."""
    mine, theirs = parse_operator(first.operator), parse_operator(second.operator)
    if mine is None or theirs is None:
        return False
    if if_missing(mine, first) is not False and if_missing(theirs, second) is not True:
        return False
    one, other = atom_of(first), atom_of(second)
    if one is None or other is None or one[1] != other[1]:
        return False
    return atom_implies(one[0], other[0]) if one[1] else atom_implies(other[0], one[0])


def context_of(key: str, value: Value) -> Known:
    """The context in which only this key is set."""
    if value is None:
        return {}
    return {key: value if isinstance(value, str) else list(value)}
