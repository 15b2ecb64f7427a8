"""L6: argv, tty, environment, printing: the commands `cwt` and `git-lfs`."""
