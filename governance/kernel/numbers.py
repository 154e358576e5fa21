"""Numbers as people read them."""

THIN_SPACE = "\u202f"


def grouped(value: float) -> str:
    """4212 becomes "4 212" with a narrow no-break space, which no reader takes for a decimal point."""
    return f"{value:,}".replace(",", THIN_SPACE)
