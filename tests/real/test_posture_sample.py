"""Exports that others made, judged: what they do not contain is never passed, and the page that shows it is true."""

import os
from collections.abc import Mapping

import pytest

from identities.models import Finding, Identity, IdentityPosture
from tests.real import posture_sample
from tests.real.posture_sample import DATA, EXPORTS, PAGE, Export

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.exists(), reason="the exports are not beside the checkout (../shared/data)"),
]

# What a pass of each rule rests on, in the words of `Export.holds`; of several sets one is enough. "remit" is what
# Remit knows by itself, and whoever reads the whole list of something vouches for its end.
PASS_RESTS_ON: Mapping[str, tuple[frozenset[str], ...]] = {
    "NHI1-C": (frozenset({"use.last_used_at"}), frozenset({"created_at"})),
    "NHI2-C": (frozenset({"credentials", "credentials.storage"}),),
    "NHI3-C": (frozenset({"trust", "trusts.are_conditions_known"}),),
    "NHI4-B": (frozenset({"credentials"}),),
    "NHI4-C": (frozenset({"credentials", "grants", "grants.is_parsed"}),),
    "NHI5-A": (frozenset({"grants", "grants.is_parsed"}),),
    "NHI5-C": (frozenset({"grants", "grants.is_parsed"}),),
    "NHI5-D": (frozenset({"grants", "grants.is_parsed"}),),
    "NHI5-E": (frozenset({"grants", "grants.condition_sorts", "grants.ends_at"}),),
    "NHI6-A": (frozenset({"trust", "trusts.subject", "trusts.audience"}),),
    "NHI6-D": (frozenset({"grants"}),),
    "NHI7-A": (frozenset({"credentials", "credentials.expires_at"}),),
    "NHI7-C": (
        frozenset({"credentials", "credentials.last_rotated_at"}),
        frozenset({"credentials", "credentials.created_at"}),
    ),
    "NHI7-D": (frozenset({"credentials"}),),
    "NHI10-B": (frozenset({"has_interactive_login"}),),
    "TB-1": (frozenset({"trust"}),),
    "TB-2": (frozenset({"trust", "trusts.subject"}),),
}
# What the import itself shows.
OF_THE_IMPORT = {"POP-1", "POP-2", "POP-3", "POP-4"}
# Lists of which "all" is said only where all were read.
WHOLE_LISTS = {"credentials", "grants", "trust"}


def is_contained(needed: frozenset[str], export: Export) -> bool:
    return needed <= export.holds and (export.is_whole or not needed & WHOLE_LISTS)


@pytest.mark.django_db
def test_nothing_passes_that_an_export_does_not_contain_and_the_page_shows_it() -> None:
    """One test, because taking everything in is what costs."""
    sources = [(export, posture_sample.take_in(export)) for export in EXPORTS]
    posture_sample.judge_everything()

    for export, source in sources:
        for line in posture_sample.lines_of(source):
            if not line.counts.passed or line.rule.id in OF_THE_IMPORT:
                continue
            rests_on = PASS_RESTS_ON.get(line.rule.id, ())
            assert any(is_contained(needed, export) for needed in rests_on), (export.slug, line.rule.id)
    # What could be judged was: the engine left nobody out, and real trouble was found.
    assert IdentityPosture.objects.count() == Identity.objects.filter(retired_at=None).count() > 50
    assert {"NHI1-B", "NHI5-A", "NHI5-C", "POP-1", "POP-2"} <= set(Finding.objects.values_list("rule", flat=True))

    written = posture_sample.page(sources)
    if os.environ.get("WRITE_POSTURE_SAMPLE"):
        PAGE.write_text(written, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == written, (
        "docs/posture-sample.md is old: write it anew (posture_sample.py)"
    )


def test_each_list_of_contents_uses_words_of_the_rules() -> None:
    used = {word for needed in (sets for several in PASS_RESTS_ON.values() for sets in several) for word in needed}

    assert used <= {word for export in EXPORTS for word in export.holds}
