"""Triggers: what the sensors leave to the triggerer."""
