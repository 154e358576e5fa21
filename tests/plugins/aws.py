"""An AWS account to govern: a moto server on loopback, with users, roles and keys made through its API.

moto is no oracle for decisions (docs/connectors.md lists where it differs from AWS); what is asked of it here, allows,
denies and resources with wildcards, it decides as AWS does.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.plugins.brokers import free_port

ACCOUNT = "123456789012"
KEY_FILES = ("aws-access-key-id", "aws-secret-access-key")
OFF = "1e9"


def allow(*actions: str, on: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    """A statement that allows."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}


def deny(*actions: str, on: str | list[str] = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": list(actions), "Resource": on, **more}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Cloud:
    """One moto server. `root` calls without any check; `become` is whoever holds a key, and is checked."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address, self._folder = address, folder
        self.checks(on=False)
        self._post("reset", b"")
        self.iam = self.client("iam")
        self.s3 = self.client("s3")
        self.connector = self.make_user("remit-connector", allow("iam:*", "sts:*"))

    def client(self, service: str, key: dict[str, str] | None = None) -> Any:
        key = key or {"AccessKeyId": "testing", "SecretAccessKey": "testing"}
        return boto3.Session(
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            aws_session_token=key.get("SessionToken"),
            region_name="us-east-1",
        ).client(
            service,
            endpoint_url=self.address,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
        )

    def checks(self, *, on: bool) -> None:
        """Whether keys and policies are asked at all."""
        self._post("reset-auth", b"0" if on else OFF.encode())

    def make_user(self, name: str, *statements: dict[str, Any]) -> dict[str, str]:
        """A user with one inline policy `own` and one access key, which is returned."""
        self.iam.create_user(UserName=name)
        if statements:
            self.iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*statements))
        return self.iam.create_access_key(UserName=name)["AccessKey"]

    def make_policy(self, name: str, *statements: dict[str, Any]) -> str:
        return str(self.iam.create_policy(PolicyName=name, PolicyDocument=document(*statements))["Policy"]["Arn"])

    def make_role(self, name: str, *statements: dict[str, Any], **options: Any) -> str:
        trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
        options = {"AssumeRolePolicyDocument": document(trust)} | options
        arn = str(self.iam.create_role(RoleName=name, **options)["Role"]["Arn"])
        if statements:
            self.iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
        return arn

    def can(self, key: dict[str, str], action: Callable[[Any], Any], service: str = "iam") -> bool:
        """Whether the account lets the holder of this key do it, its policies being asked."""
        self.checks(on=True)
        try:
            action(self.client(service, key))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException", "403"):
                return False
            if error.response["Error"]["Code"] in ("NoSuchEntity", "NoSuchBucket", "404"):
                return True
            raise
        finally:
            self.checks(on=False)
        return True

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a source row, whose references lead to the connector's key."""
        names = ("access_key_id", "secret_access_key")
        values = (self.connector["AccessKeyId"], self.connector["SecretAccessKey"])
        references = {}
        for name, file, value in zip(names, KEY_FILES, values, strict=True):
            (self._folder / file).write_text(value)
            references[name] = f"file:{self._folder / file}"
        return {"endpoint_url": self.address, **references}

    def _post(self, what: str, body: bytes) -> None:
        request = urllib.request.Request(
            f"{self.address}/moto-api/{what}", data=body, method="POST", headers={"Content-Type": "text/plain"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()


@pytest.fixture(scope="session")
def aws_address() -> Iterator[str]:
    """`http://…` of a moto server that also knows the policies of AWS. Skips where moto is not installed."""
    program = Path(sys.executable).with_name("moto_server")
    if not program.exists():
        message = "moto is not installed: install requirements-dev.lock"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    port = free_port()
    process = subprocess.Popen(
        [str(program), "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"MOTO_IAM_LOAD_MANAGED_POLICIES": "false"},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def cloud(aws_address: str, tmp_path: Path) -> Iterator[Cloud]:
    """An account with nothing in it but the connector's own user."""
    yield Cloud(aws_address, tmp_path)


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the moto server ended by itself"
        try:
            urllib.request.urlopen(f"{address}/moto-api/", timeout=5).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail("the moto server did not answer within 60 s")
