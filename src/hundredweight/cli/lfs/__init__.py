"""The commands of `git lfs`, one module each: argparse, a call into `client`, printing in git-lfs's words."""
