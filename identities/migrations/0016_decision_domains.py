import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

# Processes remember how domains answer until a note says that something changed (identities/models/note_triggers.py,
# whose tables come later; without them there is nobody who remembers).
NOTE_DOMAINS = """
CREATE OR REPLACE FUNCTION identities_note_domains() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('identities_decisionnote') IS NOT NULL THEN
        INSERT INTO identities_decisionnote (scope) VALUES ('shared');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER identities_decisiondomain_noted AFTER INSERT OR DELETE OR UPDATE ON identities_decisiondomain
    FOR EACH STATEMENT EXECUTE FUNCTION identities_note_domains();
CREATE TRIGGER identities_decisiondomain_sources_noted AFTER INSERT OR DELETE OR UPDATE
    ON identities_decisiondomain_sources FOR EACH STATEMENT EXECUTE FUNCTION identities_note_domains();
"""
FORGET = """
DROP TRIGGER IF EXISTS identities_decisiondomain_noted ON identities_decisiondomain;
DROP TRIGGER IF EXISTS identities_decisiondomain_sources_noted ON identities_decisiondomain_sources;
DROP FUNCTION IF EXISTS identities_note_domains();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0015_trust_boundaries"),
    ]

    operations = [
        migrations.CreateModel(
            name="DecisionDomain",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("slug", models.SlugField(max_length=40, unique=True)),
                ("name", models.CharField(max_length=120)),
                ("is_apart", models.BooleanField(default=True)),
                ("is_enabled", models.BooleanField(default=True)),
                ("subject_types", models.JSONField(default=dict)),
                (
                    "registered_types",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=120), default=list, size=None
                    ),
                ),
                (
                    "request_properties",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=200), default=list, size=None
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("version", models.PositiveIntegerField(default=1)),
                ("sources", models.ManyToManyField(related_name="decision_domains", to="identities.source")),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("slug", ""), _negated=True), name="identities_domain_has_slug"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Resource",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("external_id", models.CharField(max_length=1024)),
                ("name", models.CharField(max_length=512)),
                ("properties", models.JSONField(default=dict)),
                ("first_seen_at", models.DateTimeField()),
                ("last_changed_at", models.DateTimeField()),
                ("retired_at", models.DateTimeField(blank=True, null=True)),
                ("content_hash", models.BinaryField(max_length=32)),
                ("line_hash", models.BinaryField(blank=True, max_length=16, null=True)),
                (
                    "resource_type",
                    models.GeneratedField(
                        db_persist=True,
                        expression=models.Func(
                            models.F("external_id"), models.Value(":"), models.Value(1), function="split_part"
                        ),
                        output_field=models.CharField(max_length=1024),
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="resources",
                        to="identities.source",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("retired_at", None)),
                        fields=["resource_type", "external_id"],
                        name="identities_resource_by_type",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("source", "external_id"), name="identities_resource_once_per_source"
                    )
                ],
            },
        ),
        migrations.RunSQL(NOTE_DOMAINS, FORGET),
    ]
