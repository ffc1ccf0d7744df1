"""python -m kvcli: the same as kvcli."""

try:
    from kvcli.cli.entry import main

    main("kvcli.repl")
except KeyboardInterrupt:  # So early that main had no chance to say so.
    raise SystemExit(130) from None
