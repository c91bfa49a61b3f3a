"""Sorted sets of keys in files: making them, comparing them, and keeping them in Parquet."""
