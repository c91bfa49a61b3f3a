"""HTTP for both platforms: calls with retries, limits of time and size, and secrets out of logs. Knows no platform."""
