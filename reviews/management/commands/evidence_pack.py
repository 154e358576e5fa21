"""`manage.py evidence_pack CAMPAIGN --output FILE`: write the evidence of a review to a file, in this process."""

import shutil
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from governance.kernel.actors import system_actor
from governance.kernel.errors import DomainError
from reviews import packs
from reviews.models import EvidencePack, PackState
from reviews.packs.places import file_of

OPERATOR = system_actor("command line")


class Command(BaseCommand):
    help = (
        "Write the evidence of a review that has ended to a file. With --pack, write a pack again that exists already: "
        "the same checkpoint, the same bytes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("campaign", help="the review's id")
        parser.add_argument("--output", required=True, help="the file to write")
        parser.add_argument("--pack", default="", help="the id of a pack of this review to write again")

    def handle(self, *args: Any, **options: Any) -> None:
        target = Path(options["output"])
        try:
            campaign = packs.access_review(actor=OPERATOR, campaign_id=_id(options["campaign"]))
            if options["pack"]:
                pack = packs.access_pack(actor=OPERATOR, pack_id=_id(options["pack"]))
                if pack.size is None or pack.campaign_id != campaign.pk:
                    raise CommandError("This is no pack of this review, or it was never pinned to a checkpoint.")
                digest = packs.write_to(pack=pack, target=target)
            else:
                pack = self._new(campaign)
                shutil.copyfile(packs.take_out(pack=pack, actor=OPERATOR, now=timezone.now()), target)
                digest = pack.sha256
        except DomainError as error:
            raise CommandError(f"{error.title}: {error.message}") from error
        except OSError as error:
            raise CommandError(f"{target} can't be written: {error.strerror}.") from error
        self.stdout.write(f"{target}: checkpoint {pack.size} of {pack.origin}, sha256 {digest}")

    def _new(self, campaign: Any) -> EvidencePack:
        pack = packs.request_pack(campaign=campaign, actor=OPERATOR, now=timezone.now(), is_queued=False)
        packs.build_pack(pack_id=pack.pk, now=timezone.now())
        pack.refresh_from_db()
        if pack.state == PackState.FAILED:
            raise CommandError(pack.problem)
        if pack.state != PackState.READY or not file_of(pack).is_file():
            raise CommandError("A worker is writing this pack at the moment. Ask again when it has finished.")
        return pack


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise CommandError(f"“{text}” is no id.") from None
