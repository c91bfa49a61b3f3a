"""Sorted sets of 128-bit keys, in files, and in Parquet."""
