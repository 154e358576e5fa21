"""The evidence of a review as one file that an outsider can check: request, pin, write, take out. docs/evidence.md"""

from reviews.packs.building import build_due_packs, build_pack, write_to
from reviews.packs.places import file_name
from reviews.packs.requesting import access_pack, access_review, list_packs, request_pack, take_out

__all__ = [
    "access_pack",
    "access_review",
    "build_due_packs",
    "build_pack",
    "file_name",
    "list_packs",
    "request_pack",
    "take_out",
    "write_to",
]
