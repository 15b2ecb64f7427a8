"""Repositories: names, their git folders, who may open them."""
