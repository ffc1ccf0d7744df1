# Bash completion for kvcli. kvcli itself knows what a word may become, keys and buckets too; see kvcli/cli/completion.py.

_kvcli_ask() {
    local _kvcli_program=$1 _kvcli_rest=$2
    shift
    type -P -- "$_kvcli_program" >/dev/null || _kvcli_program=kvcli  # An alias, or a function that has the name.
    # A variable that stands in the line is looked up by kvcli, also one that is not exported. This is a subshell.
    while [[ $_kvcli_rest =~ \$\{?([A-Za-z_][A-Za-z0-9_]*)(.*) ]]; do
        _kvcli_rest=${BASH_REMATCH[2]}
        export "${BASH_REMATCH[1]?}"
    done
    "$_kvcli_program" __complete bash "$@" 2>/dev/null
}

_kvcli_files() {
    mapfile -t COMPREPLY < <(compgen -f -- "$1")
    if [[ ${#COMPREPLY[@]} == 1 && -d ${COMPREPLY[0]} ]]; then
        compopt -o nospace
        COMPREPLY[0]+=/
    fi
    local at
    for at in "${!COMPREPLY[@]}"; do
        printf -v "COMPREPLY[at]" '@%q' "${COMPREPLY[at]}"
    done
}

_kvcli() {
    local -a _kvcli_answer
    mapfile -d '' -t _kvcli_answer < <(_kvcli_ask "${1/#\~/$HOME}" "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" "$COMP_TYPE" </dev/null)
    COMPREPLY=()
    case ${_kvcli_answer[0]-} in
        words) COMPREPLY=("${_kvcli_answer[@]:1}") ;;
        stems) compopt -o nospace; COMPREPLY=("${_kvcli_answer[@]:1}") ;;
        'files '*@) _kvcli_files "${2#@}" ;;  # Readline takes what follows an @ for the name of a host.
        files*) compopt -o bashdefault -o default ;;
        run*)
            if [[ ${COMP_WORDS[COMP_CWORD - 1]} == -- ]]; then
                mapfile -t COMPREPLY < <(compgen -c -- "$2")
            else
                compopt -o bashdefault -o default
            fi
            ;;
    esac
}

complete -o nosort -F _kvcli kvcli kv
