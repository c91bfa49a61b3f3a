"""AppLovin: its Audience API and its Suppression API."""
