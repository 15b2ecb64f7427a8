"""Facts in Git: experiments in commits, releases in tags, read and written without a work tree."""
