# Fish completion for kvcli. kvcli itself knows what a word may become, keys and buckets too; see kvcli/cli/completion.py.

function __kvcli_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    type -fq -- $program; or set program kvcli  # An alias, or a function that has the name.
    # A variable that stands in the line is looked up by kvcli, also one that is not exported.
    for name in (string match -rag '\$([A-Za-z_]\w*)' -- $words)
        set -q $name; and not set -qx $name; and set -fx $name $$name
    end
    set -l answer (command $program __complete fish $words "$current" </dev/null 2>/dev/null)
    switch "$answer[1]"
        case words stems
            printf '%s\n' $answer[2..-1]
        case 'files*'
            set -l head (string replace 'files ' '' -- $answer[1])
            set -l rest (string sub -s (math (string length -- $head) + 1) -- $current)
            for path in (__fish_complete_path $rest)
                printf '%s\n' $head$path
            end
        case 'run*'
            __fish_complete_subcommand --fcs-skip=(string replace 'run ' '' -- $answer[1])
    end
end

complete -c kvcli -f -k -a '(__kvcli_complete)'
complete -c kv -f -k -a '(__kvcli_complete)'
