"""Who is told of an access request by mail. The rows are written in the use case, the mail goes out afterwards."""

from collections.abc import Iterable
from uuid import UUID

from governance import dispatch
from governance.kernel.actors import Role
from governance.people.models import RoleAssignment
from reviews.models import AccessRequest, MailKind, ReviewMail


def tell_those_who_answer(request: AccessRequest) -> None:
    """The identity's own people; administrators too in an emergency, or where nobody answers for the identity."""
    identity = request.identity
    people = {person for person in (identity.owner_id, identity.backup_owner_id) if person} - {request.asked_by_id}
    if request.is_emergency or request.is_privileged or not people:
        people |= set(
            RoleAssignment.objects.filter(role=Role.ADMINISTRATOR, user__is_active=True).values_list("user", flat=True)
        )
    _tell(request, people - {request.asked_by_id})


def tell_who_asked(request: AccessRequest) -> None:
    """What became of it."""
    _tell(request, [request.asked_by_id])


def _tell(request: AccessRequest, people: Iterable[UUID]) -> None:
    mails = [ReviewMail(person_id=person, kind=MailKind.ACCESS, occasion=str(request.pk)) for person in sorted(people)]
    ReviewMail.objects.bulk_create(mails, ignore_conflicts=True)
    dispatch.after_commit("reviews.send_due_mail")
