"""Scripts that measure. Every figure is a ratio of one run; nothing here is a test."""
