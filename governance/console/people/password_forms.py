"""The library's forms of the ways in, worded like the other forms of the console."""

from typing import Any

from allauth.account.forms import ChangePasswordForm, LoginForm, ResetPasswordForm, ResetPasswordKeyForm
from django import forms

ADDRESS = "E-mail address"


class SignIn(LoginForm):
    """By address and password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _worded_like_ours(self, login=ADDRESS)


class ForgottenPassword(ResetPasswordForm):
    """For somebody who wants a link by mail."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _worded_like_ours(self, email=ADDRESS)


class ChangePassword(ChangePasswordForm):
    """For somebody who is signed in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _worded_like_ours(self)


class ChooseNewPassword(ResetPasswordKeyForm):
    """For somebody who came by the link of a mail."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _worded_like_ours(self)


def _worded_like_ours(form: forms.BaseForm, **labels: str) -> None:
    """One capital in every label, and nothing in a field that only repeats its label."""
    for name, field in form.fields.items():
        field.label = labels.get(name, str(field.label).capitalize())
        field.widget.attrs.pop("placeholder", None)
