"""The operator course: what it has an operator type, and a shell that types it."""
