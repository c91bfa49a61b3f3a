"""HTTP as both platforms use it: one request, retried, bounded, with its secrets out of sight. Knows no platform."""
