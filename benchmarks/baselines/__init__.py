"""What one would do without the provider (a shell pipe, a Python script), and a floor that only sends."""
