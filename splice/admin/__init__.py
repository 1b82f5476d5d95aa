"""The admin side: API, events and metrics for whoever runs the door."""
