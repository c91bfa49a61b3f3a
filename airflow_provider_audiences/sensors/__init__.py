"""Sensors, in poke, reschedule and deferrable mode."""
