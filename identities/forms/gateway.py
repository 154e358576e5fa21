"""Forms of the gateway: a server behind it, and why something is cut off or given back."""

import shlex
from typing import Any

from django import forms

from governance.kernel.errors import DomainError
from identities.forms.references import ReferenceInput, ReferencesArea
from identities.forms.short_names import ShortNameField
from identities.models import CutKind, GatewayServer
from identities.services.cut_offs import LONGEST_REASON
from identities.services.gateway_servers import InvalidServer, allowed_commands

_QUIET = {"autocomplete": "off", "spellcheck": "false"}


class GatewayServerForm(forms.Form):
    """A server by its address, or by one of the commands that the operator allows."""

    name = ShortNameField(
        max_length=60,
        help_text="Stands in its address at the gateway and, as server:name, in permissions; it never changes.",
    )
    url = forms.CharField(
        label="Address",
        max_length=500,
        required=False,
        help_text="Of a server that runs somewhere: https://host/path.",
        widget=forms.TextInput(attrs=_QUIET),
    )
    token = forms.CharField(
        label="Token for it",
        max_length=512,
        required=False,
        help_text="A reference: env:NAME or file:/path. An agent’s own token is never passed on.",
        widget=ReferenceInput(attrs=_QUIET),
    )
    command = forms.ChoiceField(
        label="Or a command",
        required=False,
        help_text="Of a server that the gateway starts. The operator lists whole command lines, and no others run.",
    )
    environment = forms.CharField(
        label="Variables for the command",
        required=False,
        help_text="One a line, as references: API_TOKEN=env:NAME.",
        widget=ReferencesArea(attrs={"rows": 2, **_QUIET}),
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        try:
            lines = [shlex.join(words) for words in allowed_commands()]
        except InvalidServer as problem:
            lines = []
            self.fields["command"].help_text = problem.message
        field: Any = self.fields["command"]
        field.choices = [
            ("", "none" if lines else "none is allowed"),
            *((each, each) for each in lines),
        ]

    def clean_environment(self) -> dict[str, str]:
        pairs = [line.partition("=") for line in self.cleaned_data["environment"].splitlines() if line.strip()]
        if not all(sign for _, sign, _ in pairs):
            raise forms.ValidationError("Write one variable a line: NAME=env:OTHER.")
        return {name.strip(): value.strip() for name, _, value in pairs}

    def values(self) -> dict[str, Any]:
        """What `register_server` takes."""
        data = self.cleaned_data
        return {**{name: data[name] for name in ("name", "url", "token", "environment")},
                "command": shlex.split(data["command"])}  # fmt: skip

    def refuse(self, error: DomainError) -> None:
        """Put a refusal of the domain beside the field that it names."""
        name = error.details.get("field") or error.details.get("setting")
        self.add_error(name if name in self.fields else None, error.message)


class CutOffForm(forms.Form):
    """What is cut off, and why."""

    kind = forms.ChoiceField(choices=CutKind.choices, widget=forms.HiddenInput)
    identity = forms.UUIDField(required=False, widget=forms.HiddenInput)
    server = forms.SlugField(required=False, widget=forms.HiddenInput)
    tool = forms.CharField(required=False, max_length=256, widget=forms.HiddenInput)
    reason = forms.CharField(max_length=LONGEST_REASON)


class RestoreForm(forms.Form):
    """Why it is given back."""

    reason = forms.CharField(max_length=LONGEST_REASON)


def command_line(server: GatewayServer) -> str:
    """The command as it is written in a shell."""
    return shlex.join(server.command)
