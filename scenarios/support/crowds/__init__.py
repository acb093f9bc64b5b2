"""Many clients at once. It may import ``contract``."""
