"""An upgrade says what it will do, backs up, migrates a populated database of an older release, and leads back."""

import threading
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone

from governance.operations import archive, upgrade
from governance.operations.locks import maintenance
from governance.operations.problems import OperationFailed
from governance.operations.restore import restore
from governance.people.models import User
from identities.models import Source

# What the release before holds on every source after a restore had: everything else as now.
OLDER = ("reviews", "0017_watch_rules")


@pytest.mark.slow
def test_a_populated_database_of_an_older_release_is_brought_forward_and_can_be_put_back(
    elsewhere, folders, tmp_path: Path, make, monkeypatch
):
    monkeypatch.setattr(upgrade, "MANY_ROWS", 3)
    with elsewhere():
        call_command("migrate", *OLDER, interactive=False, verbosity=0)
        for app in ("audit", "people", "identities", "governance", "sessions", "account", "mfa"):
            call_command("migrate", app, interactive=False, verbosity=0)
        for _ in range(5):
            make.make_person()
        make.write_event()
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")

        steps = upgrade.plan_upgrade()
        done = upgrade.upgrade(backup_to=tmp_path / "before.backup", now=timezone.now)

        assert "0020_restore_holds" in [step.name for step in steps]
        assert done.problems == [] and done.report.is_intact and done.report.size == 1
        assert upgrade.plan_upgrade() == []
        assert User.objects.count() == 5
        make.make_source()

        again = upgrade.upgrade(backup_to=tmp_path / "again.backup", now=timezone.now)
        assert again.saved is None and not (tmp_path / "again.backup").exists()

        # The way back is a restore; with this release's code it ends at this release, with the data of before.
        with archive.opened(done.saved.path) as before:
            assert ["reviews", "0020_restore_holds"] not in before.manifest["migrations"]
        restore(path=done.saved.path, now=timezone.now, replace_after_backup=tmp_path / "undone.backup")
        assert (User.objects.count(), Source.objects.count()) == (5, 0)


def test_long_migrations_are_named():
    assert str(upgrade.Step("identities", "0011_x", 1_200_000, False)) == (
        "identities.0011_x  LONG: works on about 1,200,000 rows"
    )
    assert str(upgrade.Step("identities", "0011_x", 10, True)) == "identities.0011_x"


def test_a_second_one_says_that_it_waits_and_gives_up_after_its_time(committed_db):
    said = []
    second = maintenance(said.append, wait_seconds=1)
    with maintenance(said.append), pytest.raises(OperationFailed, match="still under way after 1 s"), second:
        pass
    assert said == ["another restore, upgrade or preparation of this database is under way; waiting for its end"]


def test_two_at_once_take_turns(committed_db, folders):
    ended = []

    def run():
        upgrade.upgrade(backup_to=None, now=timezone.now)
        ended.append(1)
        connections.close_all()

    both = [threading.Thread(target=run) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(60)

    assert ended == [1, 1]
