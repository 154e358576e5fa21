"""How well a review was done: time, batches, agreement with the evidence, and what is worth a look. docs/reports.md"""

from reviews.quality.overall import campaign_quality
from reviews.quality.people import people_of, quality_of_people
from reviews.quality.viewing import note_draft, note_showing

__all__ = ["campaign_quality", "note_draft", "note_showing", "people_of", "quality_of_people"]
