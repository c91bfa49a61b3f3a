"""
Waiting for a platform, without Airflow and without time: when to poll, what each poll means, and when it is over.

:mod:`.polls` is what one poll asks and makes of the answers, :mod:`.wait` the loop, :mod:`.outcomes` how a wait ends.
"""
