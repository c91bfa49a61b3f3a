"""Lineage: what the operators read and write, and how much, as OpenLineage's provider asks for it."""
