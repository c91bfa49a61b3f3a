"""A plan, or a set, goes out: batches, several at a time, halved, repeated, and written down."""
