# Fish loads this where the first word is kv: the second name of kvcli.
source (status dirname)/kvcli.fish
