"""What one would do without the provider: a shell pipe, a Python script; and the floor, which only sends."""
