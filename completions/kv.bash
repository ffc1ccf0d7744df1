# Bash loads this where the first word is kv: the second name of kvcli.
. "${BASH_SOURCE[0]%/*}/kvcli"
