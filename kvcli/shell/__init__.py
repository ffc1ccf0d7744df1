"""The shell's own kvcli: a function `kv` in bash or zsh, answered by one process that outlives its calls.

`kvcli shell-init` prints kv.bash or kv.zsh, the one side; the other is server.py, started at the first call by start.py.
Between them is a private folder, whose name nobody can guess:

    server          locked for as long as the server lives
    N.q N.a         a channel: a pipe for requests, and one for answers
    N.lock          made by the process that claims the channel, with its id; 0 when it gave the channel up

A request is fields that each end with NUL: the number of words, flags (`b` for bash or `z` for zsh, then `o` and `e` where
stdout and stderr are terminals), the variables that decide, each behind its attributes, as in `x=/tmp/store` or
`scalar-export=/tmp/store`, where an x says that it is exported, and then the words.
An answer is a header of HEADER_BYTES (exit code, kind, bytes of stdout, bytes of stderr) and then those bytes. For bash its
kind is `a` for ASCII, which it reads fast, `b` for other bytes, `e` for what holds NUL and so comes as `printf %b` wants it;
padded to SHORT_BYTES, as that is what is read first, and then the kind is `s` where all of it fits.
Exit code 999 means that the real command is to be run: by that, whatever is not served here still works, and the same way.

A channel belongs to one process, so answers cannot be mixed. When that is gone, or cut a call short, both pipes are made
anew before anybody else gets them: a late answer has nobody to reach.
"""

from __future__ import annotations

CHANNELS = 32  # As in kv.bash and kv.zsh.
HEADER_BYTES, SHORT_BYTES = 20, 64
