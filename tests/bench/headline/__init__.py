"""The headline, measured: an estate where nearly everybody holds too much, one review, and a year of calls after it.

`estate` invents who there is and what runs when; it knows nothing of how Remit recommends. `world` is the system that
holds the permissions and answers calls. `reviewing` plays the people. `running` puts it together (docs/speed.md).
"""
