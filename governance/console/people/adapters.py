"""What Remit asks of django-allauth: no sign-up, answers that give nothing away, and a record of every
sign-in.
"""

import base64
import hashlib
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.encoding import force_bytes

from governance.console.people import trail
from governance.people.access import SESSION_AUTH_METHOD
from governance.people.models import User


class AccountAdapter(DefaultAccountAdapter):
    """Sign-in by e-mail address and password."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """A closed account answers like a wrong password, so that nobody learns that the password was
        right.
        """
        user = super().authenticate(request, **credentials)
        if user is not None and not user.is_active:
            self.authentication_failed(request, **credentials)
            return None
        return user

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        trail.sign_in_failed(
            email=str(credentials.get("email") or ""), ip=self.get_client_ip(request), now=timezone.now()
        )

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        method = auth_method(request, user)
        trail.start_session(request, method=method)
        trail.signed_in(user, auth_method=method, ip=self.get_client_ip(request), now=timezone.now())
        return super().post_login(request, user, **kwargs)

    def logout(self, request: HttpRequest) -> None:
        if request.user.is_authenticated:
            method = request.session.get(SESSION_AUTH_METHOD, "session")
            trail.signed_out(request.user, auth_method=method, now=timezone.now())
        super().logout(request)


class MFAAdapter(DefaultMFAAdapter):
    """Keys of second factors are encrypted with the secret key, so that a copy of the database yields no
    codes.
    """

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _cipher().decrypt(encrypted_text.encode()).decode()


def auth_method(request: HttpRequest, user: User) -> str:
    """How this session was proved: "password", "password+totp", "password+recovery_codes"."""
    names: list[str] = []
    for record in get_authentication_records(request, user):
        name = record.get("type") or record["method"]
        if name not in names:
            names.append(name)
    return "+".join(names) or "session"


def _cipher() -> MultiFernet:
    """The first key encrypts; the fallbacks still decrypt while the secret key is being rotated."""
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = [hashlib.sha256(b"remit.second-factor:" + force_bytes(secret)).digest() for secret in secrets]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])
