"""Does the database still guard the trail as it was set up: triggers, functions, owners, rights?

Two questions with two weights. `broken_guards` is what makes the trail changeable or lets events slip past the seal:
a switched-off trigger, an altered function, a rule that swallows rows, a right that somebody was granted. It is a
problem, always. `open_doors` is what the installation chose or left as it is: the application's role owns the tables
or is a superuser, so that it could switch the guards off itself. `make run` is like that; production need not be
(docs/audit.md, A role that only writes).
"""

from typing import Any

from django.conf import settings
from django.db import connection

from governance.audit import rights
from governance.audit.guard_parts import Trigger
from governance.audit.triggers import CHAIN_STEP, DEFINERS, TRIGGERS

TABLES = list(rights.TABLES)


def broken_guards() -> list[str]:
    """What is missing, switched off, altered or open to others, one sentence each; empty when every guard stands."""
    return [*_triggers(), *_functions(), *_bypasses(), *_owners(), *_grants()]


def guards_intact() -> bool:
    """Whether the database still refuses changes to the trail and seals new rows."""
    return not broken_guards()


def open_doors() -> list[str]:
    """What the application's own role could do to the guards, one sentence each; empty for one that only writes."""
    (rolname, is_superuser), *_ = _fetch("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user")
    if is_superuser:
        return [f"the application signs in as {rolname}, a superuser, who can switch every guard off"]
    owned = _fetch(
        """
        SELECT c.relname FROM pg_class c JOIN unnest(%s::text[]) AS guarded (name) ON c.oid = to_regclass(guarded.name)
        WHERE pg_has_role(current_user, c.relowner, 'USAGE') ORDER BY 1
        """,
        [TABLES],
    )
    names = ", ".join(name for (name,) in owned)
    return [f"the application's role {rolname} owns {names} and can switch the guards there off"] if owned else []


def _triggers() -> list[str]:
    rows = _fetch(
        """
        SELECT t.tgrelid::regclass::text, t.tgname, t.tgtype, t.tgenabled,
               coalesce(substring(pg_get_triggerdef(t.oid) FROM ' WHEN (.*) EXECUTE FUNCTION '), ''),
               t.tgdeferrable AND t.tginitdeferred, p.proname, p.prosrc
        FROM unnest(%s::text[]) AS guarded (name)
        JOIN pg_trigger t ON t.tgrelid = to_regclass(guarded.name)
        JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE NOT t.tgisinternal
        """,
        [TABLES],
    )
    found = {(table, name): tuple(rest) for table, name, *rest in rows}
    ours = {(trigger.table, trigger.name) for trigger in TRIGGERS}
    problems = [problem for trigger in TRIGGERS if (problem := _problem(trigger, found))]
    return problems + [f"trigger {name} on {table} is not one of ours" for table, name in sorted(found.keys() - ours)]


def _problem(trigger: Trigger, found: dict[tuple[str, str], tuple[object, ...]]) -> str:
    state = found.get((trigger.table, trigger.name))
    if state is None:
        return f"trigger {trigger.name} on {trigger.table} is missing"
    kind, enabled, condition, is_deferred, function, body = state
    if enabled != "A":
        return f"trigger {trigger.name} on {trigger.table} is switched off or not ENABLE ALWAYS"
    expected = (trigger.kind, trigger.condition, trigger.is_deferred, trigger.function.name, trigger.function.body)
    if (kind, condition, is_deferred, function, body) != expected:
        return f"trigger {trigger.name} on {trigger.table} is not the one that was installed"
    return ""


def _functions() -> list[str]:
    """The chain's own function, and how those that run with their owner's rights look names up."""
    bodies = [body for (body,) in _fetch("SELECT prosrc FROM pg_proc WHERE proname = %s", [CHAIN_STEP.name])]
    problems = [] if bodies == [CHAIN_STEP.body] else [f"function {CHAIN_STEP.name} is not the one that was installed"]
    loose = _fetch(
        """
        SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.proname = ANY (%s) AND NOT (
            p.prosecdef AND p.proconfig = ARRAY[format('search_path=pg_catalog, %%I, pg_temp', n.nspname)]
        )
        """,
        [[function.name for function in DEFINERS]],
    )
    return problems + [
        f"function {name} no longer runs with its owner's rights and a fixed search path" for (name,) in loose
    ]


def _bypasses() -> list[str]:
    """Rewrite rules, policies and child tables: rows can be swallowed or shown elsewhere without touching a trigger."""
    rows = _fetch(
        """
        SELECT c.relname, EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid), c.relrowsecurity,
               EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhparent, i.inhrelid))
        FROM unnest(%s::text[]) AS guarded (name) JOIN pg_class c ON c.oid = to_regclass(guarded.name)
        WHERE c.relkind = 'r'
        """,
        [TABLES],
    )
    problems = [f"table {table} has a rewrite rule" for table, has_rule, _, _ in rows if has_rule]
    problems += [f"table {table} has row security switched on" for table, _, has_policies, _ in rows if has_policies]
    return problems + [f"table {table} has a parent or a child" for table, _, _, is_family in rows if is_family]


def _owners() -> list[str]:
    """All tables and functions of the trail belong to one role: the one in the settings, where it is named."""
    rows = _fetch(
        """
        SELECT 'table ' || c.relname, pg_get_userbyid(c.relowner)
        FROM unnest(%s::text[]) AS guarded (name) JOIN pg_class c ON c.oid = to_regclass(guarded.name)
        UNION ALL SELECT 'function ' || p.proname, pg_get_userbyid(p.proowner) FROM pg_proc p WHERE p.proname = ANY (%s)
        ORDER BY 1
        """,
        [TABLES, [function.name for function in DEFINERS]],
    )
    expected = settings.AUDIT_TABLE_OWNER or next((owner for thing, owner in rows if "audit_auditevent" in thing), "")
    return [f"{thing} belongs to {owner}, not to {expected}" for thing, owner in rows if owner != expected]


def _grants() -> list[str]:
    """Rights on tables and on single columns that are more than `rights.grants_sql` gives."""
    rows = _fetch(
        """
        SELECT c.relname, g.attname, CASE WHEN a.grantee = 0 THEN 'everybody' ELSE pg_get_userbyid(a.grantee) END,
               a.privilege_type
        FROM unnest(%s::text[]) AS guarded (name) JOIN pg_class c ON c.oid = to_regclass(guarded.name)
        CROSS JOIN LATERAL (
            SELECT '' AS attname, c.relacl AS acl
            UNION ALL SELECT attname, attacl FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT NULL
        ) g
        CROSS JOIN LATERAL aclexplode(g.acl) a
        WHERE a.grantee <> c.relowner ORDER BY 1, 2, 3, 4
        """,
        [TABLES],
    )
    return [
        f"{who} was granted {right} on {table}{'.' * bool(column)}{column}"
        for table, column, who, right in rows
        if not _is_harmless(table, column, right)
    ]


def _is_harmless(table: str, column: str, right: str) -> bool:
    match right:
        case "SELECT":
            return True
        case "INSERT":
            return table not in rights.NEVER_INSERTED
        case "UPDATE":
            return column in rights.CHANGEABLE.get(table, ())
    return False


def _fetch(statement: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found
