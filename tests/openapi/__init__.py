"""What schemathesis needs to test the API: its configuration and its credentials."""
