"""The ten recipes that a fresh database starts with, as data (D8)."""
