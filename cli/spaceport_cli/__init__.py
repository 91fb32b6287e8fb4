"""The `spaceport` command: a client of any Spaceport cloud, on this machine or on AWS."""
