"""Identifier kinds: for each kind its rule, its written form, and its codec between texts and keys."""
