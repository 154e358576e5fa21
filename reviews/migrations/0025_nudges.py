import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reviews", "0024_answers_in_bulk"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="brake",
            name="told_in",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="order",
            name="told_in",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="urgentrelease",
            name="told_in",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="reviewmail",
            name="kind",
            field=models.CharField(
                choices=[
                    ("invitation", "Questions are waiting"),
                    ("reminder", "The deadline is near"),
                    ("escalation", "Questions stayed unanswered"),
                    ("digest", "What waits in all reviews"),
                    ("brake", "Orders are held"),
                    ("access", "Access is asked for, or was answered"),
                    ("news", "What a person is to learn of"),
                ],
                max_length=12,
            ),
        ),
        migrations.CreateModel(
            name="Nudge",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("question", "Asked about something"),
                            ("reply", "Got a reply"),
                            ("handed_on", "Got a question from somebody"),
                            ("release", "An order waits for a second person"),
                            ("urgent", "A brake or a window waits for a second person"),
                        ],
                        max_length=12,
                    ),
                ),
                ("about", models.UUIDField()),
                ("made_at", models.DateTimeField()),
                ("told_at", models.DateTimeField(blank=True, null=True)),
                ("seen_at", models.DateTimeField(blank=True, null=True)),
                (
                    "item",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="+",
                        to="reviews.reviewitem",
                    ),
                ),
                (
                    "mail",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="nudges",
                        to="reviews.reviewmail",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("mail", None)), fields=["person"], name="reviews_nudge_untold"),
                    models.Index(
                        condition=models.Q(("told_at__isnull", False)), fields=["told_at"], name="reviews_nudge_told"
                    ),
                    models.Index(
                        condition=models.Q(("item__isnull", False), ("seen_at", None)),
                        fields=["person", "item"],
                        name="reviews_nudge_unseen",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("person", "kind", "about"), name="reviews_nudge_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("mail", None), ("told_at", None)),
                            models.Q(("mail__isnull", False), ("told_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="reviews_nudge_told_by_a_mail",
                    ),
                ],
            },
        ),
    ]
