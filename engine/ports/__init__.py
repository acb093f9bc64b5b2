"""The outside behind Protocols: sandboxes and the plan writer."""
