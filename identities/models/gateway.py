"""The MCP gateway: servers behind it, their tools as accepted, the agents' keys, what was asked, what is cut off."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from identities.models.identity import Identity


class GatewayServer(models.Model):
    """One MCP server that agents reach through the gateway and never directly.

    `name` stands in its address there and, as `server:<name>`, in permissions. It is reached at `url`, or started as
    `command` (word for word one of the lines that the operator allows). `environment` and `token` are references to
    secrets (`env:NAME`, `file:/path`), never values; an agent's own token is never passed on.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.SlugField(max_length=60, unique=True)
    url = models.CharField(max_length=500, blank=True, default="")
    command = ArrayField(models.CharField(max_length=1000), default=list, blank=True)
    environment = models.JSONField(default=dict, blank=True)
    token = models.CharField(max_length=512, blank=True, default="")
    is_enabled = models.BooleanField(default=True)
    last_error = models.CharField(max_length=500, blank=True, default="")
    listed_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = [
            # One that is both would be asked about under one name and answer under another.
            models.CheckConstraint(
                condition=(Q(url="") & ~Q(command=[])) | (~Q(url="") & Q(command=[])),
                name="identities_gateway_server_one_way",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class GatewayTool(models.Model):
    """One tool of a server: the definition that was accepted, and the one that the server gives now.

    `accepted_hash` is empty while nobody accepted it. A call is let through only where `seen_hash` is the accepted one:
    a definition that changed is another tool under the same name. What a server told at its very first listing counts
    as accepted, by nobody (`accepted_by` is empty).
    """

    id = models.BigAutoField(primary_key=True)
    server = models.ForeignKey(GatewayServer, on_delete=models.RESTRICT, related_name="tools")
    name = models.CharField(max_length=256)
    accepted_hash = models.CharField(max_length=64, blank=True, default="")
    accepted = models.JSONField(default=dict)
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    seen_hash = models.CharField(max_length=64)
    seen = models.JSONField(default=dict)
    seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["server", "name"], name="identities_gateway_tool_once"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_accepted(self) -> bool:
        """Whether the definition that the server gives now is the one that was accepted."""
        return bool(self.accepted_hash) and self.accepted_hash == self.seen_hash and self.gone_at is None


class AgentToken(models.Model):
    """Which agent an API token speaks for at the gateway. A token speaks for one agent, and for that one for ever."""

    token = models.OneToOneField(
        "people.ApiToken", on_delete=models.RESTRICT, primary_key=True, related_name="agent_link"
    )
    identity = models.ForeignKey(Identity, on_delete=models.RESTRICT, related_name="agent_tokens")
    linked_at = models.DateTimeField()
    linked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    def __str__(self) -> str:
        return f"{self.token_id} for {self.identity_id}"


class GatewaySession(models.Model):
    """One session of an agent at one server, for people to see; what holds is what the gateway's process knows.

    `ended_at` stays empty for sessions of a process that was killed; one that was not seen for minutes is over.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    server = models.ForeignKey(GatewayServer, on_delete=models.RESTRICT, related_name="sessions")
    identity = models.ForeignKey(Identity, on_delete=models.RESTRICT, related_name="gateway_sessions")
    client = models.CharField(max_length=200, blank=True, default="")
    protocol = models.CharField(max_length=20)
    opened_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["-last_seen_at"], name="identities_gateway_open", condition=Q(ended_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.identity_id} at {self.server_id}"


class GatewayCall(models.Model):
    """What an agent asked of one tool within some seconds and was answered alike, `count` times; for people to see.

    Decides nothing, is no evidence (the decision log is), and is kept for days. `tool` is empty where the server knows
    no tool of the name that was asked for: what only a caller has said is not kept, and neither are arguments. `reason`
    is the decision point's code, or why it was not asked (`identities.services.gateway_calls`).
    """

    id = models.BigAutoField(primary_key=True)
    server = models.ForeignKey(GatewayServer, on_delete=models.RESTRICT, related_name="calls")
    identity = models.ForeignKey(Identity, on_delete=models.RESTRICT, related_name="gateway_calls")
    tool = models.CharField(max_length=256, blank=True, default="")
    reason = models.CharField(max_length=40)
    count = models.PositiveIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["last_at", "id"], name="identities_gw_call_newest"),
            models.Index(fields=["identity", "last_at", "id"], name="identities_gw_call_agent"),
            models.Index(fields=["last_at", "id"], name="identities_gw_call_refused", condition=~Q(reason="granted")),
        ]

    def __str__(self) -> str:
        return f"{self.identity_id} at {self.server_id}: {self.reason}"


class CutKind(models.TextChoices):
    AGENT = "agent", "Agent"
    SERVER = "server", "Server"
    TOOL = "tool", "Tool"


class CutOff(models.Model):
    """An agent, a server or one tool of a server that nothing may be called by or on, from the next call on.

    It holds until `restored_at`; the row stays. `review` is the review that looks at what stood behind it, written down
    by whoever opened it; until then it is asked for again and again. Labels and the ids of people are as in the trail.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=CutKind.choices)
    identity = models.ForeignKey(Identity, null=True, blank=True, on_delete=models.RESTRICT, related_name="cut_offs")
    server = models.ForeignKey(GatewayServer, null=True, blank=True, on_delete=models.RESTRICT, related_name="cut_offs")
    tool = models.CharField(max_length=256, blank=True, default="")
    reason = models.TextField()
    cut_at = models.DateTimeField()
    cut_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    cut_by_label = models.CharField(max_length=120)
    restored_at = models.DateTimeField(null=True, blank=True)
    restored_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    restored_reason = models.TextField(blank=True, default="")
    review = models.UUIDField(null=True, blank=True)
    review_looked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=(
                    Q(kind="agent", identity__isnull=False, server=None, tool="")
                    | Q(kind="server", identity=None, server__isnull=False, tool="")
                    | (Q(kind="tool", identity=None, server__isnull=False) & ~Q(tool=""))
                ),
                name="identities_cut_off_names_its_target",
            ),
            # Two that hold would need two people to undo what one meant.
            models.UniqueConstraint(
                fields=["kind", "identity", "server", "tool"],
                condition=Q(restored_at=None),
                nulls_distinct=False,
                name="identities_cut_off_once",
            ),
        ]
        indexes = [
            models.Index(fields=["cut_at"], name="identities_cut_off_unreviewed", condition=Q(review_looked_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} cut off at {self.cut_at}"
