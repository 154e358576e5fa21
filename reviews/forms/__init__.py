"""Forms of the reviewers' pages: shapes only. What counts, and from whom, is decided by the use cases."""
