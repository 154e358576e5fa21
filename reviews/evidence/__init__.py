"""What is known about the use of an access, and what narrowing it would mean: asked anew while somebody decides.

An item keeps what its reviewer was shown when the review opened; this is the same question on what was seen since. It
serves a question and a mere trial alike, so it takes values: what is held, and what was observed.
"""

from reviews.evidence.editing import Edit, edited, place_key
from reviews.evidence.observing import Observed, observe
from reviews.evidence.pieces import MOST_PIECES, Piece, keys_of, pieces_of, target_of
from reviews.evidence.suggesting import PROPOSED, RECOMMENDED, Suggestion, suggestions_of
from reviews.evidence.trials import Replayed, Trial, TrialState, difference, replay_target, try_target

__all__ = [
    "MOST_PIECES",
    "PROPOSED",
    "RECOMMENDED",
    "Edit",
    "Observed",
    "Piece",
    "Replayed",
    "Suggestion",
    "Trial",
    "TrialState",
    "difference",
    "edited",
    "keys_of",
    "observe",
    "pieces_of",
    "place_key",
    "replay_target",
    "suggestions_of",
    "target_of",
    "try_target",
]
