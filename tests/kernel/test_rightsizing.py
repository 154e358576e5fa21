import pytest

from governance.kernel.permissions import NotExpressible, difference_samples, includes, sample_requests, subtract
from governance.kernel.rightsizing import replay, right_size, unused, without_effect
from governance.kernel.styles import STYLES

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


LOGS = [f"arn:aws:s3:::ledger/logs/{number}" for number in range(3)]


def sized(held, used, style):
    """Sets of (actions, resources) of the suggestion."""
    statements = right_size(held, used, style).statements
    return {(each.actions.include, each.resources.include) for each in statements}


def test_readable_puts_names_and_places_with_the_same_beginning_together(permission):
    held = permission("aws", ("s3:*", "*"))
    used = [(action, place) for action in ("s3:GetObject", "s3:GetObjectAcl") for place in LOGS]

    assert sized(held, used, "exact") == {(("s3:GetObject", "s3:GetObjectAcl"), tuple(LOGS))}
    assert sized(held, used, "readable") == {(("s3:GetObject*",), ("arn:aws:s3:::ledger/logs/*",))}


def test_readable_never_leaves_what_was_held(permission):
    held = permission("aws", ("s3:GetObject s3:GetObjectAcl", LOGS))
    used = [(action, place) for action in ("s3:GetObject", "s3:GetObjectAcl") for place in LOGS]

    assert right_size(held, used, "readable") == right_size(held, used, "exact")


def test_readable_adds_no_class_of_access(permission):
    held = permission("aws", ("s3:* ssm:*", "*"))
    policies = [
        ("s3:PutObject", "arn:aws:s3:::b/k"),
        ("s3:PutObjectTagging", "arn:aws:s3:::b/k"),
        ("s3:PutBucketTagging", "arn:aws:s3:::b/k"),
    ]
    parameters = [("ssm:GetParameterX", "*"), ("ssm:GetParameterY", "*")]

    assert sized(held, policies, "readable") == {
        (("s3:PutBucketTagging", "s3:PutObject", "s3:PutObjectTagging"), ("arn:aws:s3:::b/k",))
    }
    assert "ssm:GetParameter*" not in str(sized(held, parameters, "readable"))  # it would read secrets as well


def test_readable_groups_tables_of_a_schema(permission):
    held = permission("postgresql", ("SELECT DELETE", "table:ledger/public/*"))
    used = [("SELECT", f"table:ledger/public/t{number}") for number in range(3)]

    assert sized(held, used, "readable") == {(("SELECT",), ("table:ledger/public/*",))}


def test_by_access_level_is_all_held_of_the_same_service_and_class(permission):
    held = permission(
        "aws", ("s3:GetObject s3:List* s3:PutObject s3:DeleteObject s3:GetBucketPolicy sqs:ReceiveMessage", "*")
    )

    assert sized(held, [("s3:GetObject", LOGS[0])], "access_level") == {
        (("s3:GetBucketPolicy", "s3:GetObject", "s3:List*"), (LOGS[0],))
    }


def test_by_access_level_in_a_database(permission):
    assert sized(permission("postgresql", ("OWN", TABLE)), [("INSERT", TABLE)], "access_level") == {
        (("INSERT", "MAINTAIN", "UPDATE"), (TABLE,))
    }


@pytest.mark.parametrize("style", STYLES)
def test_limits_of_what_was_held_stay_in_every_style(permission, style):
    limits = {"until": "2027-01-01T00:00:00Z"}
    held = permission("aws", ("s3:*", "*", limits), ("s3:PutObject", "*", {"effect": "deny"}))

    found = right_size(held, [("s3:GetObject", LOGS[0])], style)

    assert all(each.until or each.effect == "deny" for each in found.statements)
    assert found.statements[-1] == held.statements[-1]


def test_an_unknown_style_is_refused(permission):
    with pytest.raises(ValueError, match="tidy"):
        right_size(permission("aws", ("*", "*")), [], "tidy")


def test_replay_names_what_ends_and_could_not_have_been_seen(permission):
    held = permission("postgresql", ("SELECT DELETE TRUNCATE", TABLE))
    target = permission("postgresql", ("SELECT", TABLE))
    observable = permission("postgresql", ("SELECT DELETE", TABLE))

    assert replay([("SELECT", TABLE)], target, held=held, observable=observable).not_observable == (
        ("TRUNCATE", TABLE),
    )
    assert len(replay([], target, held=held).not_observable) == 2  # no log at all: nothing was observable
    assert replay([("SELECT", TABLE)], target).not_observable == ()


@pytest.mark.parametrize(
    ("action", "means_something"),
    [
        ("s3:GetObject", True),
        ("s3:*", True),
        ("*", True),
        ("s3:GetObjectRetention", True),
        ("s3:GetObjct", False),
        ("s3:GteObject", False),
        ("s3:GetObject,PutObject", False),
        ("s3:", False),
        ("GetObject", False),
    ],
)
def test_names_that_no_action_has(permission, action, means_something):
    assert (without_effect(permission("aws", ([action], "*"))) == []) is means_something
