"""The decision point: may this identity do this on that, now? Answered from what is governed, per request.

`requests` (the question and the answer as values), `reasons` (why not), `deciding` (the rules), `index` (compiled
permissions per identity, in memory), `freshness` (why memory never outlives a revocation), `logging` and `usage` (what
was decided becomes evidence). The edges translate into these values and back; they decide nothing.
"""
