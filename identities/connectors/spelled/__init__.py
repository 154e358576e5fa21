"""A change in the words of the system itself, for the person who makes it where Remit cannot write.

Pure text from values: what is held, what shall remain, and what the source said about how the grant is made. The
commands give the narrow right before they take the wide one away, so whoever holds it is never without and never has
more than before. Nothing here is executed.
"""

from governance.kernel.permissions import Permission
from identities.connectors.contract import GrantRef
from identities.connectors.spelled import aws, kubernetes, postgresql, rabbitmq, redis

_SPELLERS = {
    "aws": aws.spell,
    "kubernetes": kubernetes.spell,
    "postgresql": postgresql.spell,
    "rabbitmq": rabbitmq.spell,
    "redis": redis.spell,
}


def spell(grant: GrantRef, target: Permission | None) -> str:
    """Commands or documents that make the change; empty where this dialect has none.

    target: what shall remain; None takes the grant away.
    """
    speller = _SPELLERS.get(grant.permission.dialect)
    return speller(grant, target) if speller else ""
