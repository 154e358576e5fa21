import threading

from django.db import connection
from django.utils import timezone

from governance.kernel.actors import Role
from governance.people import accounts
from governance.people.access import actor_for_user
from governance.people.accounts import LastAdministrator
from governance.people.models import RoleAssignment, User


def test_two_administrators_cannot_remove_each_other_at_once(committed_db):
    now = timezone.now()
    admins = [User.objects.create_user(f"a{number}@x.org", name=f"A{number}") for number in (1, 2)]
    for admin in admins:
        RoleAssignment.objects.create(user=admin, role=Role.ADMINISTRATOR)
    actors = [actor_for_user(admin, auth_method="password") for admin in admins]
    start, refused = threading.Barrier(2), []

    def remove(actor, other):
        start.wait()
        try:
            accounts.assign_roles(user_id=other.pk, roles=[], actor=actor, now=now)
        except LastAdministrator:
            refused.append(other)
        finally:
            connection.close()

    threads = [threading.Thread(target=remove, args=pair) for pair in zip(actors, reversed(admins), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 1
    assert RoleAssignment.objects.filter(role=Role.ADMINISTRATOR).count() == 1
