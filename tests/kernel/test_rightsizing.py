import pytest

from governance.kernel.permissions import NotExpressible, difference_samples, includes, sample_requests, subtract
from governance.kernel.rightsizing import replay, right_size, unused

TABLE = "table:ledger/public/payments"


def test_an_owner_who_only_reads_is_narrowed_to_reading(permission):
    owner = permission("postgresql", ("OWN", TABLE))

    assert right_size(owner, [("SELECT", TABLE)]) == permission("postgresql", ("SELECT", TABLE))


def test_use_of_nothing_leaves_nothing(permission):
    assert right_size(permission("postgresql", ("OWN", TABLE)), []).is_empty


def test_conditions_and_ends_of_what_was_held_are_kept(permission):
    limits = {
        "until": "2027-01-01T00:00:00Z",
        "conditions": [{"operator": "IpAddress", "key": "aws:SourceIp", "values": ["10.0.0.0/8"]}],
    }
    held = permission("aws", ("s3:*", "arn:aws:s3:::b/*", limits))

    assert right_size(held, [("s3:GetObject", "arn:aws:s3:::b/k")]) == permission(
        "aws", ("s3:GetObject", "arn:aws:s3:::b/k", limits)
    )


def test_a_used_name_with_a_star_is_not_turned_into_a_wildcard(permission):
    held = permission("aws", ("s3:*", "arn:aws:s3:::b/?*"))

    assert right_size(held, [("s3:GetObject", "arn:aws:s3:::b/*")]) == permission(
        "aws", ("s3:GetObject", "arn:aws:s3:::b/?*")
    )


def test_unused_names_each_pattern_that_nothing_fell_into(permission):
    held = permission("postgresql", ("SELECT DELETE", [TABLE, "table:ledger/public/staff"]))

    assert unused(held, [("SELECT", TABLE)]) == [
        ("DELETE", TABLE),
        ("SELECT", "table:ledger/public/staff"),
        ("DELETE", "table:ledger/public/staff"),
    ]


def test_replay_counts_refused_and_unknown(permission):
    condition = {"conditions": [{"operator": "Bool", "key": "mfa", "values": ["true"]}]}
    held = permission("aws", ("s3:Get*", "*"), ("s3:Put*", "*", condition))

    result = replay(
        [("s3:GetObject", "b"), ("s3:PutObject", "b"), ("s3:DeleteObject", "b"), ("s3:GetObject", "b")], held
    )

    assert (result.total, result.refused, result.unknown) == (3, (("s3:DeleteObject", "b"),), 1)


def test_subtracting_a_privilege_from_ownership_leaves_the_other_privileges(permission):
    left = subtract(permission("postgresql", ("OWN", TABLE)), permission("postgresql", ("DELETE", TABLE)))

    assert includes(left, permission("postgresql", ("SELECT INSERT UPDATE TRUNCATE", TABLE))).holds
    assert not includes(left, permission("postgresql", ("DELETE", TABLE))).holds
    assert not includes(left, permission("postgresql", ("OWN", TABLE))).holds
    assert not includes(left, permission("postgresql", ("GRANT:DELETE", TABLE))).holds


def test_subtracting_one_table_of_several_names_the_others(permission):
    held = permission("postgresql", ("SELECT DELETE", [TABLE, "table:ledger/public/staff"]))
    left = subtract(held, permission("postgresql", ("DELETE", TABLE)))

    assert left == permission(
        "postgresql",
        ("SELECT", [TABLE, "table:ledger/public/staff"]),
        ("DELETE", "table:ledger/public/staff"),
    )


def test_difference_samples_are_the_named_requests_that_end(permission):
    held = permission("postgresql", ("SELECT DELETE", [TABLE, "table:ledger/public/staff"]))
    target = permission("postgresql", ("SELECT", TABLE))

    found = {(each.action, each.resource) for each in difference_samples(held, target)}

    assert found == {
        ("DELETE", TABLE),
        ("SELECT", "table:ledger/public/staff"),
        ("DELETE", "table:ledger/public/staff"),
    }


def test_samples_of_ownership_are_what_makes_sense_on_the_object(permission):
    found = sample_requests(permission("postgresql", ("OWN", "schema:ledger/public")))

    assert {action for action, _ in found} == {"OWN", "CREATE", "USAGE", "GRANT:CREATE", "GRANT:USAGE"}


def test_taking_the_superuser_attribute_takes_everything_that_came_with_it(permission):
    held = permission("postgresql", ("SUPERUSER CREATEDB", "cluster:"), ("SELECT", TABLE))
    left = subtract(held, permission("postgresql", ("SUPERUSER", "cluster:")))

    assert left == permission("postgresql", ("CREATEDB", "cluster:"), ("SELECT", TABLE))


def test_a_single_right_cannot_be_taken_from_a_superuser(permission):
    with pytest.raises(NotExpressible, match="come back"):
        subtract(permission("postgresql", ("SUPERUSER", "cluster:")), permission("postgresql", ("SELECT", TABLE)))
