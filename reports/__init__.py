"""The paper: from a bundle to documents that people and other tools read."""
