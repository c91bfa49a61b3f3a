"""Sorted sets of 128-bit keys in files: making them, comparing them, and keeping them in Parquet."""
