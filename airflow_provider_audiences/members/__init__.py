"""From a source to a clean set of members: identifier rules, staging, batches."""
