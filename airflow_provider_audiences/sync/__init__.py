"""
Syncs: from a staged set of members and a ledger to a plan, and from the plan to a destination. No platform is named
here.
"""
