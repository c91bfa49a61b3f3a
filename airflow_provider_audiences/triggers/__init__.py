"""Triggers: the part of a wait that runs in the triggerer."""
