"""python -m kvcli: the same as kvcli."""

from kvcli.cli.entry import main

main()
