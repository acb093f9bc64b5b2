"""The wire contract as values and small requests. It imports no other room."""
