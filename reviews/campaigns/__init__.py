"""Campaigns: planned by schedules, opened on a frozen population, closed by their deadline."""
