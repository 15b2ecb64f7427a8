"""Releases: made with their cards, put into stages, compared and signed."""
