"""The vocabulary is closed, well formed and documented."""

import re
from pathlib import Path

from governance.audit.actions import Verb

DOCS = Path(__file__).parents[2] / "docs" / "audit.md"


def test_every_verb_is_a_noun_and_a_participle_and_says_what_it_means() -> None:
    for verb in Verb:
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", verb), verb
        assert verb.description.endswith("."), verb
        assert verb.name == verb.value.replace(".", "_").upper()


def test_the_docs_list_exactly_the_verbs_with_their_meaning() -> None:
    rows = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (.+) \|$", DOCS.read_text(encoding="utf-8"), re.M)

    assert dict(rows) == {verb.value: verb.description for verb in Verb}
