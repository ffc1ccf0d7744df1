"""Components for tests, hand-written as text: they compile in milliseconds, and need no toolchain."""
