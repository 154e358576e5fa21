"""What is asked of the catalogues about roles, memberships and default privileges."""

# rolvaliduntil knows infinity and years that Python does not, so it crosses as text.
VALID_UNTIL = """CASE WHEN rolvaliduntil = 'infinity' THEN NULL
                      WHEN rolvaliduntil < '0002-01-01' THEN '0001-01-01T00:00:00.000000Z'
                      WHEN rolvaliduntil > '9999-01-01' THEN NULL
                      ELSE to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END"""

ROLES = f"""
    SELECT oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
           rolbypassrls, rolconnlimit, {VALID_UNTIL}, coalesce(rolvaliduntil < now(), false),
           coalesce(shobj_description(oid, 'pg_authid'), '')
      FROM pg_catalog.pg_roles"""  # noqa: S608 - made of constants of this module only

MEMBERSHIPS_16 = """
    SELECT roleid, member, grantor, admin_option, inherit_option, set_option
      FROM pg_catalog.pg_auth_members ORDER BY roleid, member, grantor"""
MEMBERSHIPS_15 = """
    SELECT m.roleid, m.member, m.grantor, m.admin_option, r.rolinherit, true
      FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.member
     ORDER BY m.roleid, m.member"""

DEFAULTS = """
    SELECT d.oid, d.defaclrole, n.nspname, d.defaclobjtype::text, a.grantee, a.privilege_type, a.is_grantable
      FROM pg_catalog.pg_default_acl d
      LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
     CROSS JOIN LATERAL aclexplode(d.defaclacl) a
     ORDER BY d.oid, a.grantee, a.privilege_type"""
