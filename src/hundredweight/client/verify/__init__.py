"""`cwt verify`: what goes wrong in teams, found before it does harm; one module a group of checks."""
