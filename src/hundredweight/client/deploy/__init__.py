"""Deployments: a release of a repository as a folder that is switched as one, with its service; and going back.

docs/formats/deployment.md says what is in the folder.
"""
