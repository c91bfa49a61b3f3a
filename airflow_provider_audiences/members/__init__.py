"""Members of an audience: reading a source, validating its texts by identifier kind, and sets of members on disk."""
