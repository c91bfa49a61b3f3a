"""
Waiting for a platform, without Airflow and without sleeping: when to poll, what a poll result means, when a wait ends.

:mod:`.polls` has the requests and the result of one poll, :mod:`.wait` the loop, :mod:`.outcomes` the ends of a wait.
"""
