"""`manage.py import` on every export beside the checkout: each is taken in whole, or refused with a reason that it has.

What each format must find in a file is counted independently in the tests of the formats; here the same records must
arrive in the inventory through the command that people use.
"""

from collections import Counter
from io import BytesIO, StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from identities.connectors.files import FileRefused, Holds, Notes
from identities.connectors.registry import recognise
from identities.models import Credential, Grant, Identity, Source, SyncRun, SyncState

DATA = Path(__file__).parents[3] / "shared/data"
FOLDERS = (
    "salesforce_cloudsplaining", "duo-labs_cloudmapper", "DataDog_stratus-red-team", "kubernetes_kubernetes",
    "prometheus-operator_kube-prometheus", "liggitt_audit2rbac", "rabbitmq_rabbitmq-server", "mcp-agent-configs",
    "mcp-tools-list", "octokit_webhooks",
)  # fmt: skip
FILES = [path for folder in FOLDERS for path in sorted((DATA / folder).rglob("*")) if path.is_file() and path.suffix]
pytestmark = [
    pytest.mark.real,
    pytest.mark.django_db,
    pytest.mark.skipif(not DATA.exists(), reason="the exports are not beside the checkout"),
]


def records_of(path: Path) -> tuple[Counter[str], str] | None:
    """How many records of each type a file holds by its one format; None where no format knows it."""
    found = recognise(path.read_bytes()[:65_536])
    if not found:
        return None
    (only,) = found
    try:
        kinds = Counter(record["type"] for record in only.records(BytesIO(path.read_bytes()), Notes()))
    except FileRefused as refusal:
        return Counter(), refusal.message
    return kinds, ("usage" if only.holds == Holds.USAGE else "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DATA)))
def test_a_file_is_taken_in_whole_or_refused_for_what_it_is(path):
    source = Source.objects.create(slug="export", name="Export", kind="push")
    expected = records_of(path)
    output = StringIO()

    try:
        call_command("import", source.slug, str(path), stdout=output, stderr=output)
    except (CommandError, SystemExit) as error:
        run = SyncRun.objects.filter(source=source).first()
        assert not Identity.objects.filter(source=source).exists(), error
        is_nothing = expected is None or set(expected[0]) <= {"end"}
        assert is_nothing, f"{error} {run and run.problem} {output.getvalue()}"
        return

    run = SyncRun.objects.get(source=source)
    assert run.state == SyncState.APPLIED, run.problem
    assert expected is not None
    kinds, usage = expected
    if usage:  # whose identities this inventory does not hold: counted and said, never made up
        assert run.counts["usage"]["added"] == 0
        assert run.notes["counts"] or run.notes["sentences"], output.getvalue()
        return
    held = {
        kind: model.objects.filter(source=source, retired_at=None).count()
        for kind, model in (("identity", Identity), ("credential", Credential), ("grant", Grant))
    }
    assert held == {kind: kinds[kind] for kind in held}
