"""The stored state of audiences: ledgers, plans and progress, in files on a disk or in an object store."""
