"""The subcommands, one module each: `execute(args)` carries it out and returns the exit code."""
