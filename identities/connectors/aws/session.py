"""How the connector reaches AWS: its settings, its clients, and errors in our words."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from botocore import exceptions as problems
from botocore.config import Config
from botocore.parsers import ResponseParserError
from botocore.session import Session

from identities.connectors.contract import NotPossible, ReadIncomplete, Setting, SourceUnreachable
from identities.connectors.settings import read_settings

SETTINGS = (
    Setting("region", "Region", "Decides the partition: us-east-1 unless given, cn-north-1, us-gov-west-1 …"),
    Setting("endpoint_url", "Address of the IAM and STS service", "Only for test servers and private endpoints."),
    Setting("role_arn", "Role to assume", "The connector signs in with its key, then becomes this role."),
    Setting("external_id", "External id", "What the role's trust policy asks for, if it does."),
    Setting("access_key_id", "Access key id", "Where it is.", kind="reference"),
    Setting("secret_access_key", "Secret access key", "Where it is.", kind="reference"),
    Setting("session_token", "Session token", "Where it is; only with temporary keys.", kind="reference"),
    Setting(
        "use_instance_credentials",
        "Use the credentials of the machine",
        "Sign in with whatever AWS finds around Remit (environment, instance role) instead of keys named here.",
        kind="flag",
        default=False,
    ),
    Setting(
        "read_last_accessed",
        "Ask when each service was last used",
        "One report per user and role, which takes AWS some seconds each.",
        kind="flag",
        default=False,
    ),
)

# Codes after which the same call may succeed later.
_PASSING = frozenset(
    {
        "Throttling", "ThrottlingException", "RequestLimitExceeded", "ServiceFailure", "ServiceUnavailable",
        "InternalFailure", "ConcurrentModification", "ConcurrentModificationException", "RequestTimeout",
        "EntityTemporarilyUnmodifiable", "PolicyEvaluation",
    }
)  # fmt: skip
_SIGN_IN = frozenset(
    {"InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "AuthFailure",
     "UnrecognizedClientException", "IncompleteSignature", "MissingAuthenticationToken", "RequestExpired"}
)  # fmt: skip
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_GONE = "NoSuchEntity"


class Gone(ReadIncomplete):
    """AWS knows no such user, role, group, policy or key (any more)."""


class NotImplementedThere(Exception):
    """The service does not know this operation (a test server, an old partition), or the connector may not call it."""


class Clients:
    """The clients of one source, made when they are first needed. No credential of the process is used unasked."""

    def __init__(self, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self.values = read_settings(SETTINGS, settings, secrets)

    @cached_property
    def iam(self) -> Any:
        return self._client("iam", self._keys)

    @cached_property
    def sts(self) -> Any:
        return self._client("sts", self._keys)

    @cached_property
    def caller(self) -> dict[str, str]:
        """{"Account": …, "Arn": …, "UserId": …} of the connector itself."""
        with plain_errors("sts:GetCallerIdentity"):
            return dict(self.sts.get_caller_identity())

    @cached_property
    def _keys(self) -> dict[str, str]:
        if not self.values["role_arn"]:
            return self._own_keys
        wish = {"RoleArn": self.values["role_arn"], "RoleSessionName": "remit"}
        if self.values["external_id"]:
            wish["ExternalId"] = self.values["external_id"]
        with plain_errors("sts:AssumeRole"):
            given = self._client("sts", self._own_keys).assume_role(**wish)["Credentials"]
        return {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }

    @property
    def _own_keys(self) -> dict[str, str]:
        if self.values["use_instance_credentials"]:
            return {}
        if not self.values["access_key_id"] or not self.values["secret_access_key"]:
            raise SourceUnreachable(
                "No credentials are set for this source: give access_key_id and secret_access_key as references, or "
                "switch use_instance_credentials on."
            )
        keys = {
            "aws_access_key_id": self.values["access_key_id"],
            "aws_secret_access_key": self.values["secret_access_key"],
        }
        return keys | ({"aws_session_token": self.values["session_token"]} if self.values["session_token"] else {})

    def _client(self, service: str, keys: Mapping[str, str]) -> Any:
        session = Session(session_vars=None if self.values["use_instance_credentials"] else _ALONE)
        config = Config(
            connect_timeout=10,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 4},
            ignore_configured_endpoint_urls=True,
            user_agent_extra="remit",
        )
        try:
            return session.create_client(
                service,
                region_name=self.values["region"] or "us-east-1",
                endpoint_url=self.values["endpoint_url"] or None,
                config=config,
                **keys,
            )
        except (ValueError, problems.BotoCoreError) as error:
            raise SourceUnreachable(f"AWS cannot be reached with these settings ({type(error).__name__}).") from error


# The process's own profile and configuration file stay out of it.
_ALONE = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}


@contextmanager
def plain_errors(action: str, *, changing: bool = False) -> Iterator[None]:
    """Errors of AWS as ours, naming the action and never a value.

    Raises SourceUnreachable where trying later may help or the credential is refused. Everything else is NotPossible
    for a change, and ReadIncomplete for a reading: Gone where what was asked for is not there.
    """
    try:
        yield
    except problems.ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "")).removesuffix("Exception")
        if code == _GONE and not changing:
            raise Gone(f"AWS no longer knows what {action} asked for; it was removed meanwhile.") from error
        if code in _PASSING or f"{code}Exception" in _PASSING:
            raise SourceUnreachable(f"AWS answered {code} to {action}.") from error
        if code in _SIGN_IN or f"{code}Exception" in _SIGN_IN:
            raise SourceUnreachable(f"AWS does not accept the connector's credential ({code}, {action}).") from error
        if code in _DENIED:
            message = f"The connector's own policy does not allow {action}."
            raise (NotPossible(message) if changing else ReadIncomplete(message)) from error
        message = f"AWS refused {action} ({code})."
        raise (NotPossible(message) if changing else ReadIncomplete(message)) from error
    except (problems.BotoCoreError, ResponseParserError) as error:
        raise SourceUnreachable(f"AWS did not answer {action} ({type(error).__name__}).") from error


def optional(action: str, call: Any, **parameters: Any) -> Any:
    """The answer to a call that not every service knows, nor every connector may make. Raises NotImplementedThere."""
    try:
        with plain_errors(action):
            return call(**parameters)
    except Gone:
        raise
    except ReadIncomplete as refusal:
        raise NotImplementedThere(refusal.message) from refusal
    except SourceUnreachable as refusal:
        # AWS itself knows every operation: there, such an answer is a passing failure.
        is_aws = "amazonaws.com" in call.__self__.meta.endpoint_url
        if isinstance(refusal.__cause__, ResponseParserError) and not is_aws:
            raise NotImplementedThere(f"The service does not know {action}.") from refusal
        raise
