"""Notices: what happens here is told to other systems by signed webhooks, and tickets come back.

events (what is said), signing and keys (how it is proved), addresses and posting (where it may go), planning (from the
trail to deliveries), retrying and sending (from deliveries to the receiver), endpoints and asking (what people do),
tickets (what comes back). docs/webhooks.md says the same to receivers.
"""
