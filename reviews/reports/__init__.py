"""What came of a review, and how the programme stands, in numbers. docs/reports.md"""
