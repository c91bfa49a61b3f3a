"""AppLovin: its Audience API, and what an audience is there."""
