"""From a clean set of members to the platform."""
