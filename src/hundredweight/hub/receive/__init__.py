"""What the hub checks before it accepts a push, run as git's pre-receive hook inside the push's quarantine."""
