"""The frameworks page: per control what Remit evidences, how much of it now, and what it cannot."""
