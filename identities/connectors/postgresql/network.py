"""From where and how a role may sign in: the rules of pg_hba.conf, where the connector may read them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from identities.connectors.postgresql.catalog import Role
from identities.connectors.postgresql.rights import Estate
from identities.connectors.postgresql.session import Connection

MOST_RULES = 20


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the file, in the order in which the server tries them."""

    connection: str
    databases: Sequence[str]
    users: Sequence[str]
    address: str
    method: str

    def sentence(self) -> str:
        where = "through a local socket" if self.connection == "local" else f"from {self.address}"
        how = {"hostssl": " encrypted", "hostgssenc": " encrypted"}.get(self.connection, "")
        verb = "is refused" if self.method == "reject" else f"signs in by {self.method}"
        return f"{where}{how} to {', '.join(self.databases)}: {verb}"


def read_rules(connection: Connection) -> list[Rule] | None:
    """The rules of the file; None where the connector may not read them, or a line of the file is faulty."""
    row = connection.execute(
        """SELECT has_table_privilege('pg_catalog.pg_hba_file_rules', 'SELECT')
              AND has_function_privilege('pg_catalog.pg_hba_file_rules()', 'EXECUTE')"""
    ).fetchone()
    if row is None or not row[0]:
        return None
    rows = connection.execute(
        """SELECT type, database, user_name, address, netmask, auth_method, error
             FROM pg_catalog.pg_hba_file_rules ORDER BY line_number"""
    ).fetchall()
    if any(error for *_, error in rows):
        return None  # the server goes on with the rules of before, which nobody can see
    return [
        Rule(kind, databases, users, _network(address, netmask), method)
        for kind, databases, users, address, netmask, method, _ in rows
    ]


def _network(address: str | None, netmask: str | None) -> str:
    if address is None:
        return ""
    if netmask is None:
        return address
    return f"{address}/{int(ip_address(netmask)).bit_count()}"


def ways_in(role: Role, rules: Iterable[Rule], estate: Estate) -> list[str]:
    """The rules that concern this role, in the order in which the server tries them."""
    groups = {
        estate.cluster.name_of(reach.role)
        for membership in estate.memberships_of.get(role.oid, ())
        for reach in estate.through(membership)
    }
    found = [rule.sentence() for rule in rules if any(_means(user, role.name, groups) for user in rule.users)]
    return found[:MOST_RULES]


def _means(user: str, name: str, groups: Iterable[str]) -> bool:
    if user.startswith("/"):
        return True  # a regular expression of the server's own kind: it may concern anybody
    return user in ("all", name) or (user.startswith("+") and user[1:] in {name, *groups})


def network_of(roles: Iterable[Role], rules: Sequence[Rule] | None, estate: Estate) -> Mapping[str, list[str]]:
    """The ways in of each role by its name; empty where the rules cannot be read."""
    return {} if rules is None else {role.name: ways_in(role, rules, estate) for role in roles}
