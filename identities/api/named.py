"""People and teams as programs name them: by e-mail address, and by name."""

from governance.people.models import Team, User
from identities.services.identities import InvalidEdit, NotAnOwner


def person_named(email: str | None, field: str) -> User | None:
    """The person with this address; None means nobody. Raises NotAnOwner naming the field."""
    if email is None:
        return None
    person = User.objects.filter(email__iexact=email).first()
    if person is None:
        raise NotAnOwner(f"There is nobody with the address {email}.", field=field)
    return person


def team_named(name: str | None) -> Team | None:
    """The team of this name; None means no team. Raises InvalidEdit."""
    if name is None:
        return None
    team = Team.objects.filter(name=name).first()
    if team is None:
        raise InvalidEdit(f"There is no team called {name}.", field="team")
    return team
