"""The library's forms of the ways in, worded like the other forms of the console."""

from collections.abc import Mapping
from typing import Any, ClassVar

from allauth.account.forms import ChangePasswordForm, LoginForm, ResetPasswordForm, ResetPasswordKeyForm
from django import forms

ADDRESS = "E-mail address"


class _WordedLikeOurs(forms.Form):
    """One capital in every label, and nothing in a field that only repeats its label."""

    labels: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.label = self.labels.get(name, str(field.label).capitalize())
            field.widget.attrs.pop("placeholder", None)


class SignIn(_WordedLikeOurs, LoginForm):
    """By address and password."""

    labels: ClassVar = {"login": ADDRESS}


class ForgottenPassword(_WordedLikeOurs, ResetPasswordForm):
    """For somebody who wants a link by mail."""

    labels: ClassVar = {"email": ADDRESS}


class ChangePassword(_WordedLikeOurs, ChangePasswordForm):
    """For somebody who is signed in."""


class ChooseNewPassword(_WordedLikeOurs, ResetPasswordKeyForm):
    """For somebody who came by the link of a mail."""
