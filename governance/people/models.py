"""People, what they may do, and the tokens of programs.

Everything personal stands here and nowhere else: audit records carry only the random ids, so that a person
can be erased without breaking the chain.
"""

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now
from django.utils.crypto import salted_hmac

from governance.kernel.actors import Role


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Write the row. Use cases live in `accounts`; this is for them, the demo and the tests."""
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractBaseUser):
    """A person: signs in, owns identities, reviews. A person who left stays as a row with `left_at`.

    `is_active` is false for people who may not sign in. Whoever owns something need not be able to sign in:
    people imported from a directory have no usable password until they set one by mail.

    `external_id` is how the directory that provisions people (SCIM) calls this one; `directory_removed_at` is when it
    deleted them there: they are gone for it, and stay here as somebody who left.

    `left_at` is the day the person left, `left_recorded_at` the moment Remit learnt it: whoever hands over
    their work follows the second. `version` counts changes, for optimistic locking. Raising `session_epoch`
    ends every session.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=200)
    is_active = models.BooleanField(default=True)
    left_at = models.DateTimeField(null=True, blank=True)
    left_recorded_at = models.DateTimeField(null=True, blank=True, db_index=True)
    manager = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="reports")
    version = models.PositiveIntegerField(default=1)
    session_epoch = models.PositiveIntegerField(default=0)
    external_id = models.CharField(max_length=255, blank=True, default="")
    directory_removed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        constraints = [
            # Two people who differ only by the case of their address would receive each other's mail links.
            # Lower case in the column lets sign-in find a person by the plain index.
            models.CheckConstraint(condition=Q(email=Lower(F("email"))), name="people_user_email_lower_case"),
            models.UniqueConstraint(
                fields=["external_id"], condition=~Q(external_id=""), name="people_user_external_id_once"
            ),
            # Somebody who left may not keep the door key.
            models.CheckConstraint(
                condition=Q(left_at__isnull=True) | Q(is_active=False), name="people_user_left_is_inactive"
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.email

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Bind sessions to the password and to the epoch: a change of either ends them on their next
        request.
        """
        bound = f"{self.password}:{self.session_epoch}"
        return salted_hmac("governance.people.session", bound, secret=secret, algorithm="sha256").hexdigest()


class RoleAssignment(models.Model):
    """One role of one person. Read per request, never cached in the session, so a change is effective at
    once.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="role_assignments")
    role = models.CharField(max_length=30, choices=[(role.value, role.value) for role in Role])
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "role"], name="people_role_once_per_person"),
            models.CheckConstraint(condition=Q(role__in=[role.value for role in Role]), name="people_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.role}"

    @property
    def label(self) -> str:
        """The role in plain words."""
        return self.role.replace("_", " ").capitalize()


class Team(models.Model):
    """People who can stand in for each other as reviewers. `external_id`, `directory_removed_at`: see User."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    members = models.ManyToManyField(User, related_name="teams", blank=True)
    external_id = models.CharField(max_length=255, blank=True, default="")
    directory_removed_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["external_id"], condition=~Q(external_id=""), name="people_team_external_id_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ApiToken(models.Model):
    """A program's key: shown once, kept as a SHA-256 hash, scoped, always expiring.

    `withheld_scopes` are those it was made with and has no longer; they can be given back, and nothing beside them. A
    token without any scope opens nothing.

    The secret has 256 random bits, so a plain hash is enough (no guessing is possible); the prefix lets a
    person recognise a leaked one.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=16)
    secret_hash = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=40))
    withheld_scopes = ArrayField(models.CharField(max_length=40), default=list)
    created_by = models.ForeignKey(User, on_delete=models.RESTRICT, related_name="api_tokens")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="people_token_expires_after_creation"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class MailLink(models.Model):
    """A way from a mail into the inbox: 256 random bits, kept as a hash, for one person, purpose and short
    time.

    It opens a session of limited power (see `access`): mail is forwarded, archived and scanned, so a link
    proves less than a password does.
    """

    class Purpose(models.TextChoices):
        INBOX = "inbox"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="mail_links")
    purpose = models.CharField(max_length=20, choices=Purpose.choices)
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    uses_left = models.PositiveSmallIntegerField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(purpose__in=["inbox"]), name="people_mail_link_purpose_known"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} link {self.id}"


class PeopleFile(models.Model):
    """An uploaded list of people between its preview and its import; deleted by either end or after an
    hour.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    content = models.BinaryField()
    uploaded_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    uploaded_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
