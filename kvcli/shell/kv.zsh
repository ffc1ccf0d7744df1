# kv: what kvcli does, asked of one process that this shell starts at the first call, and that ends with the shell.
# Printed by `kvcli shell-init zsh`; how the two talk is said in kvcli/shell/__init__.py.

_kvcli_program=(@program@)
_kvcli_server=(@server@)
if [[ ${_kvcli_folder-} != *.$$ ]]; then # Else this shell has evaluated it before, and has its server.
    _kvcli_folder=@folder@.$$
    typeset -g _kvcli_owner='' _kvcli_channel='' _kvcli_requests='' _kvcli_answers=''
    typeset -g _kvcli_is_cut='' _kvcli_is_lost='' _kvcli_is_off=''
fi
zmodload zsh/system 2> /dev/null || _kvcli_is_off=1
unalias kv 2> /dev/null

function kv {
    builtin emulate -L zsh # Whatever the options are; they are the shell's again when this returns.
    builtin local _kvcli_out='' _kvcli_err='' _kvcli_code='' _kvcli_name=''
    if [[ ${1-} == -v ]]; then
        _kvcli_assign "${@:2}"
        return
    fi
    if ! _kvcli_ask "$@"; then
        "${_kvcli_program[@]}" "$@"
        return
    fi
    if [[ -n $_kvcli_out ]]; then
        syswrite -o 1 -- "$_kvcli_out" || { _kvcli_unwritten "$@"; return; }
    fi
    if [[ -n $_kvcli_err ]]; then
        syswrite -o 2 -- "$_kvcli_err"
    fi
    return $_kvcli_code
}

# Ask the server. Fails where the real command is to be run instead.
_kvcli_ask() {
    # In a trap, in the middle of another call, there is no asking.
    if [[ -n ${_kvcli_inside-} ]]; then
        return 1
    fi
    builtin local _kvcli_inside=1 _kvcli_request _kvcli_part _kvcli_flags=z _kvcli_size
    builtin local -a _kvcli_fields
    builtin setopt no_multibyte # Bytes are counted, not characters.
    [[ -z $_kvcli_name && -t 1 ]] && _kvcli_flags+=o
    [[ -t 2 ]] && _kvcli_flags+=e
    _kvcli_fields=(
        $# $_kvcli_flags "${(t)KVCLI_STORE}=${KVCLI_STORE-}" "${(t)KVCLI_BUCKET}=${KVCLI_BUCKET-}"
        "${(t)KVCLI_CACHE_MAX_SIZE}=${KVCLI_CACHE_MAX_SIZE-}" "${(t)KVCLI_DEBUG}=${KVCLI_DEBUG-}"
        "${(t)XDG_CONFIG_HOME}=${XDG_CONFIG_HOME-}" "${(t)XDG_DATA_HOME}=${XDG_DATA_HOME-}" "${(t)HOME}=${HOME-}" "$@"
    )
    _kvcli_request="${(pj:\0:)_kvcli_fields}"$'\0'
    # A request fits into its pipe, so writing it waits for nobody, not even for a server that is dead.
    if (( $#_kvcli_request > 16000 )); then
        return 1
    fi
    if [[ $_kvcli_owner != $sysparams[pid] || -n $_kvcli_is_cut ]]; then
        _kvcli_claim || return 1
    fi
    _kvcli_is_cut=1 # Unless this gets to its end: Ctrl-C may come anywhere.
    syswrite -o $_kvcli_requests -- "$_kvcli_request" || return 1
    while (( $#_kvcli_out < 20 || $#_kvcli_out < 20 + _kvcli_out[5,12] + _kvcli_out[13,20] )); do
        sysread -i $_kvcli_answers -s 65536 _kvcli_part || { _kvcli_lost "$@"; return; }
        _kvcli_out+=$_kvcli_part
    done
    _kvcli_code=$_kvcli_out[1,3] _kvcli_size=$(( _kvcli_out[5,12] ))
    _kvcli_err=${_kvcli_out[21 + _kvcli_size,-1]} _kvcli_out=${_kvcli_out[21,20 + _kvcli_size]}
    _kvcli_is_cut=''
    [[ $_kvcli_code != 999 ]]
}

# The server died. What it has not taken out of the pipe it has not done; nor does it matter what is done twice, except incr.
_kvcli_lost() {
    _kvcli_is_lost=1 _kvcli_out='' _kvcli_part=''
    sysread -t 0 -i $_kvcli_requests _kvcli_part
    if [[ -n $_kvcli_part || ${argv[(Ie)incr]} == 0 ]]; then
        return 1
    fi
    _kvcli_code=74
    _kvcli_err="kvcli: the process that answers kv was killed: nobody knows whether the key was incremented"$'\n'
}

# Nothing, or not all, of the answer could be written: the real command says so, but must not increment twice.
_kvcli_unwritten() {
    if (( ! ${argv[(Ie)incr]} )); then
        "${_kvcli_program[@]}" "$@"
        return
    fi
    "${_kvcli_server[@]}" '' "$_kvcli_out"
}

# Take a channel for this process, and start the server where there is none.
_kvcli_claim() {
    builtin local _kvcli_try _kvcli_number _kvcli_file _kvcli_lock
    [[ -z $_kvcli_is_off ]] || return 1
    if [[ $_kvcli_owner == $sysparams[pid] && -z $_kvcli_is_lost ]]; then
        print -rn 0 2> /dev/null >| $_kvcli_folder/$_kvcli_channel.lock # Cut short: the server makes it anew.
    fi
    if [[ -n $_kvcli_requests ]]; then
        { exec {_kvcli_requests}>&- {_kvcli_answers}<&-; } 2> /dev/null
    fi
    _kvcli_owner='' _kvcli_requests='' _kvcli_answers=''
    if [[ -n $_kvcli_is_lost || ! -d $_kvcli_folder ]]; then
        "${_kvcli_server[@]}" $_kvcli_folder $$ < /dev/null > /dev/null 2>&1 || { _kvcli_is_off=1; return 1; }
        _kvcli_is_lost=''
    fi
    [[ -O $_kvcli_folder ]] || { _kvcli_is_off=1; return 1; } # Somebody else's: its name is no secret while it is there.
    for (( _kvcli_try = 0; _kvcli_try < 32; _kvcli_try++ )); do
        _kvcli_number=$(( (sysparams[pid] + _kvcli_try) % 32 ))
        _kvcli_file=$_kvcli_folder/$_kvcli_number
        [[ ! -e $_kvcli_file.lock && -p $_kvcli_file.q && -p $_kvcli_file.a ]] || continue
        # Of many who want it, one makes the file.
        sysopen -w -o creat,excl,cloexec -m 600 -u _kvcli_lock $_kvcli_file.lock 2> /dev/null || continue
        syswrite -o $_kvcli_lock $sysparams[pid]
        exec {_kvcli_lock}>&-
        _kvcli_channel=$_kvcli_number _kvcli_is_cut=''
        _kvcli_open $_kvcli_file && _kvcli_owner=$sysparams[pid]
        return
    done
    return 1
}

# Open both ways such that a dead server is neither a SIGPIPE nor waited for, but the end of the answers.
_kvcli_open() {
    builtin local _kvcli_both
    sysopen -rw -o cloexec -u _kvcli_requests $1.q 2> /dev/null &&
        sysopen -rw -o cloexec -u _kvcli_both $1.a 2> /dev/null &&
        sysopen -r -o cloexec -u _kvcli_answers $1.a 2> /dev/null &&
        exec {_kvcli_both}>&-
}

# kv -v NAME WORDS: into a variable of that name, with no subshell.
_kvcli_assign() {
    if [[ ${1-} != [a-zA-Z_]* || $1 == *[^a-zA-Z0-9_]* || $1 == _kvcli_* ]]; then
        print -ru2 -- "kvcli: kv -v takes the name of a variable, and then what kv takes"
        return 2
    fi
    _kvcli_name=$1
    if ! _kvcli_ask "${@:2}"; then
        _kvcli_out=$("${_kvcli_program[@]}" "${@:2}"; print -rn -- /$?)
        _kvcli_code=${_kvcli_out##*/} _kvcli_out=${_kvcli_out%/*} _kvcli_err=''
    fi
    if [[ -n $_kvcli_err ]]; then
        syswrite -o 2 -- "$_kvcli_err"
    fi
    : ${(P)_kvcli_name::=$_kvcli_out}
    return $_kvcli_code
}
