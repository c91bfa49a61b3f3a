"""Operators, one for each API action."""
