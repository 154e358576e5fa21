"""What answers write costs less: no index repeats the beginning of another."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("identities", "0018_gateway"),
        ("reviews", "0023_access_requests"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="decision",
            name="carries",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.RESTRICT,
                related_name="carried_to",
                to="reviews.decision",
            ),
        ),
        migrations.AlterField(
            model_name="decision",
            name="item",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.RESTRICT,
                related_name="decisions",
                to="reviews.reviewitem",
            ),
        ),
        migrations.AlterField(
            model_name="decision",
            name="named_person",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.RESTRICT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="reviewitem",
            name="assignee",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.RESTRICT,
                related_name="review_items",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="reviewitem",
            name="campaign",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.RESTRICT,
                related_name="items",
                to="reviews.campaign",
            ),
        ),
        migrations.AlterField(
            model_name="reviewitem",
            name="credential",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.RESTRICT,
                related_name="review_items",
                to="identities.credential",
            ),
        ),
        migrations.AlterField(
            model_name="reviewitem",
            name="grant_version",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.RESTRICT,
                related_name="review_items",
                to="identities.grantversion",
            ),
        ),
        migrations.AddIndex(
            model_name="decision",
            index=models.Index(
                fields=["named_person"], condition=Q(named_person__isnull=False), name="reviews_decision_named"
            ),
        ),
        migrations.AddIndex(
            model_name="decision",
            index=models.Index(fields=["carries"], condition=Q(carries__isnull=False), name="reviews_decision_carries"),
        ),
        migrations.AddIndex(
            model_name="reviewitem",
            index=models.Index(
                fields=["credential"], condition=Q(credential__isnull=False), name="reviews_item_credential"
            ),
        ),
    ]
