"""
Measures what AppLovin's operators cost, compared with what one would do without them.

``make bench`` measures, in one run and on one machine, the whole update operator (read, validate, deduplicate, send)
against ``sort | split | curl``, against a plain Python script, and against only sending what is clean already. It also
measures peak memory at three sizes, other sources, a slow server, and a sync of one day's changes against a
replacement. Machines are noisy, so runs that are compared alternate, and the result is their ratio. Every run checks
the counts that arrive at the server.
"""
