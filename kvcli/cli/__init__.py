"""The command line: entry, express lane, Typer's grammar, output."""
