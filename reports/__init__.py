"""From a bundle to documents."""
