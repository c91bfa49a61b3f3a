"""What the hooks, operators, sensors and triggers of both platforms share."""
