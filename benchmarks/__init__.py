"""
The measured claims: what the AppLovin operator costs, next to what one would do without it.

``make bench`` measures, in one run and on this machine, the whole operator (read, validate, deduplicate, send) against
``sort | split | curl``, against a plain Python script, and against only sending what is clean already; its peak memory
at three sizes; other sources; a slow server; and a sync of a day's changes against a replacement. Machines are noisy:
what is compared is measured alternately, and what counts is the ratio. The counts that arrive at the server are checked
in every run.
"""
