"""Control frameworks as data: which controls Remit has evidence for, in our own words, and what it cannot show.

One TOML file per framework. What the files name (rules, verbs, places, measures) belongs to higher floors, so the
loader knows its form alone; a test of the console holds that each of them exists.
"""
