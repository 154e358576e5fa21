"""The permission algebra: what the rest of Remit may use of it.

Pure Python without Django. The parts live in `statements` and `documents` (values and JSON), `decisions` (one request),
`effective` (under ceilings), `inclusion` (proofs), `algebra` (difference, union, samples) and `wording` (plain words).
"""

from governance.kernel.algebra import NotExpressible, effective, intersects, sample_requests, subtract, union
from governance.kernel.decisions import Answer, matches
from governance.kernel.documents import InvalidPermission, Permission
from governance.kernel.effective import Effective, permits
from governance.kernel.inclusion import difference_samples, includes
from governance.kernel.statements import Condition, PatternSet, Statement
from governance.kernel.verdicts import CounterExample, NotProvable, Proof, Verdict
from governance.kernel.wording import describe

__all__ = [
    "Answer",
    "Condition",
    "CounterExample",
    "Effective",
    "InvalidPermission",
    "NotExpressible",
    "NotProvable",
    "PatternSet",
    "Permission",
    "Proof",
    "Statement",
    "Verdict",
    "describe",
    "difference_samples",
    "effective",
    "includes",
    "intersects",
    "matches",
    "permits",
    "sample_requests",
    "subtract",
    "union",
]
