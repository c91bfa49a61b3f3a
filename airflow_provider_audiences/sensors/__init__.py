"""Sensors that wait for an audience or a group, in poke, reschedule and deferrable mode."""
