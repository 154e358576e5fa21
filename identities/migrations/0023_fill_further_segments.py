"""Fill in what grants that are there already reach beside the segment that they are filed under.

Worked out once per permission; only the grants that reach several are written, so many permissions at a time.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from django.db import migrations, transaction

from governance.kernel.documents import Permission
from governance.kernel.errors import DomainError
from governance.kernel.privileges import segments_of

BATCH = 2_000
VERSIONS = """
UPDATE identities_grantversion v SET further_segments = array_remove(known.reached, v.segment)
FROM (SELECT digest, string_to_array(reached, ' ')::varchar[] AS reached
      FROM unnest(%s::bytea[], %s::text[]) listed(digest, reached)) known
WHERE v.digest = known.digest AND array_remove(known.reached, v.segment) <> '{}'
"""
# A grant says what its latest version says, also where it is gone.
GRANTS = """
UPDATE identities_grant g SET further_segments = v.further_segments
FROM identities_grantversion v
WHERE v.digest = ANY(%s::bytea[]) AND v.further_segments <> '{}' AND g.id = v.grant_id
  AND NOT EXISTS (SELECT FROM identities_grantversion later WHERE later.grant_id = v.grant_id AND later.number > v.number)
"""


def fill(apps: Any, schema_editor: Any) -> None:
    known = apps.get_model("identities", "KnownPermission")
    listed = known.objects.order_by("digest").values_list("digest", "permission")
    several = iter(_of_several(listed.iterator(chunk_size=BATCH)))
    while found := list(islice(several, BATCH)):
        digests, reached = [digest for digest, _ in found], [segments for _, segments in found]
        with transaction.atomic(using=schema_editor.connection.alias), schema_editor.connection.cursor() as cursor:
            cursor.execute(VERSIONS, [digests, reached])
            cursor.execute(GRANTS, [digests])


def _of_several(listed: Iterable[tuple[bytes, Any]]) -> Iterable[tuple[bytes, str]]:
    """Those that might reach a segment that they are not filed under. Unreadable ones wait for their next reading."""
    for digest, document in listed:
        reached = _reached(document)
        if reached:
            yield bytes(digest), " ".join(reached)


def _reached(document: Any) -> Sequence[str]:
    try:
        return segments_of(Permission.from_json(document))
    except DomainError:
        return ()


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("identities", "0022_further_segments")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
