# Fish completion for kvcli. kvcli itself knows what a word may become, keys and buckets too; see kvcli/cli/completion.py.

function __kvcli_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l answer (command $words[1] __complete fish $words "$current" </dev/null 2>/dev/null)
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
