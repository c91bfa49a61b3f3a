"""Delivery of plans and sets: batches sent in parallel, halved or repeated where needed, and recorded."""
