"""What one would register for people who have to look at grants."""

from django.contrib import admin

from tests.bench.baselines.models import Grant, Identity, Source


@admin.register(Grant)
class GrantAdmin(admin.ModelAdmin):
    list_display = (
        *("label", "identity", "source", "is_privileged", "revocability", "shared_with"),
        *("first_seen_at", "last_changed_at"),
    )
    list_filter = ("source", "is_privileged", "revocability")
    list_select_related = ("identity", "source")
    list_per_page = 50
    search_fields = ("label", "external_id", "identity__name")
    raw_id_fields = ("identity",)


@admin.register(Identity)
class IdentityAdmin(admin.ModelAdmin):
    list_display = ("name", "kind", "source")
    list_filter = ("source", "kind")
    list_select_related = ("source",)
    list_per_page = 50
    search_fields = ("name",)


admin.site.register(Source)
