# kv: what kvcli does, asked of one process that this shell starts at the first call, and that ends with the shell.
# Printed by `kvcli shell-init bash`; how the two talk is said in kvcli/shell/__init__.py. Needs bash 4.4.
# shellcheck shell=bash

unalias kv 2> /dev/null
_kvcli_program=(@program@)
_kvcli_server=(@server@)
if [[ ${_kvcli_folder-} != *".$$" ]]; then # Else this shell has evaluated it before, and has its server.
    _kvcli_folder=@folder@.$$
    _kvcli_owner='' _kvcli_channel='' _kvcli_requests='' _kvcli_answers=''
    _kvcli_is_cut='' _kvcli_is_lost='' _kvcli_is_off=''
fi

# Bash copies the body of a function whenever it is called: so what is seldom needed is in others. And this one is written
# to do without `set +eu`. A bare `return` would, in a trap, give the status of what ran before the trap.
kv() {
    local _kvcli_head='' _kvcli_failed='' _kvcli_all="$*" _kvcli_calls=${_kvcli_calls-}x _kvcli_looks=@looks@
    if [[ -t 1 || -t 2 || ${_kvcli_owner-} != "$BASHPID" || $_kvcli_is_cut || $_kvcli_calls != x || ${1-} == -v ||
        $# -gt 100 || ${#_kvcli_all} -gt 3800 ]]; then
        if [[ ${_kvcli_folder-} ]]; then _kvcli_call "$@"; else command kvcli "$@"; fi # Else kv alone was exported.
        return "$?"
    fi
    _kvcli_is_cut=1 # Unless this gets to its end: Ctrl-C may come anywhere.
    builtin printf '%s\0' "$#" b @variables@ "$@" >&"$_kvcli_requests" && {
        # To be woken on another processor takes longer than most answers do: so it looks for a while before it waits.
        while ! builtin read -t 0 -u "$_kvcli_answers" && (( _kvcli_looks-- )); do :; done
        builtin read ${TMOUT:+-t99999999} -r -N 64 -u "$_kvcli_answers" _kvcli_head
    } || _kvcli_failed=$?
    if [[ $_kvcli_head == 000s* ]]; then
        _kvcli_is_cut=''
        # Where that cannot be written, bash says so too. To send its line away would cost a tenth of every call.
        builtin printf %s "${_kvcli_head:20:${_kvcli_head:4:8}}" || { _kvcli_unwritten "$@"; return "$?"; }
        return 0
    fi
    _kvcli_finish "$@"
}

# Do the same where more than that is to be seen to.
_kvcli_call() {
    local - _kvcli_flags=b _kvcli_name=''
    set +euxCET # Until this returns.
    if [[ ${1-} == -v ]]; then
        _kvcli_check "$@" || return 2
        _kvcli_name=$2
        shift 2
    fi
    if ! _kvcli_prepare "$@"; then
        _kvcli_run "$@"
        return "$?"
    fi
    _kvcli_is_cut=1
    builtin printf '%s\0' "$#" "$_kvcli_flags" @variables@ "$@" >&"$_kvcli_requests" && {
        while ! builtin read -t 0 -u "$_kvcli_answers" && (( _kvcli_looks-- )); do :; done
        builtin read ${TMOUT:+-t99999999} -r -N 64 -u "$_kvcli_answers" _kvcli_head
    } || _kvcli_failed=$?
    _kvcli_finish "$@"
}

# Look whether NAME of -v NAME can be that of a variable; an index could run commands.
_kvcli_check() {
    [[ ${2-} == [a-zA-Z_]*([a-zA-Z0-9_]) && $2 != _kvcli_* ]] && return 0
    builtin printf '%s\n' "kvcli: kv -v takes the name of a variable, and then what kv takes" >&2
    return 1
}

# Get ready to ask. Fails where the real command is to be run.
_kvcli_prepare() {
    # In a trap, in the middle of another call, there is no asking. And a request fits into its pipe, so writing it waits for
    # nobody, not even for a server that is dead.
    if [[ $_kvcli_calls != x || $# -gt 100 || ${#_kvcli_all} -gt 3800 ]]; then
        return 1
    fi
    [[ ! $_kvcli_name && -t 1 ]] && _kvcli_flags+=o
    [[ -t 2 ]] && _kvcli_flags+=e
    [[ $_kvcli_owner == "$BASHPID" && ! $_kvcli_is_cut ]] || _kvcli_claim
}

# Do what is left to do when the answer is not a few letters for stdout.
_kvcli_finish() {
    local - _kvcli_name=${_kvcli_name-} _kvcli_out='' _kvcli_err='' _kvcli_code _kvcli_kind _kvcli_more
    set +euxCET
    while [[ $_kvcli_failed -gt 128 ]]; do # A trap of the user's ran meanwhile, and ended the read.
        _kvcli_failed=''
        builtin read ${TMOUT:+-t99999999} -r -N "$((64 - ${#_kvcli_head}))" -u "$_kvcli_answers" _kvcli_more || _kvcli_failed=$?
        _kvcli_head+=$_kvcli_more
    done
    _kvcli_code=${_kvcli_head:0:3} _kvcli_kind=${_kvcli_head:3:1}
    [[ $_kvcli_kind != s ]] || _kvcli_out=${_kvcli_head:20:${_kvcli_head:4:8}}
    if [[ ${#_kvcli_head} != 64 ]] || ! _kvcli_take "${_kvcli_head:4:8}" _kvcli_out ||
        ! _kvcli_take "${_kvcli_head:12:8}" _kvcli_err; then
        _kvcli_is_lost=1
        # The server died. What it has not taken out of the pipe it has not done; nor does it matter what is done twice,
        # except incr.
        if builtin read -r -t 0 -u "$_kvcli_requests" || ! _kvcli_counts "$@"; then
            _kvcli_code=999
        else
            _kvcli_out='' _kvcli_code=74
            _kvcli_err="kvcli: the process that answers kv was killed: nobody knows whether the key was incremented"$'\n'
        fi
    else
        _kvcli_is_cut=''
    fi
    if [[ $_kvcli_code == 999 ]]; then
        _kvcli_run "$@"
    else
        _kvcli_deliver "$@"
    fi
}

# Tell whether a call may not be repeated.
_kvcli_counts() {
    local _kvcli_word
    for _kvcli_word; do
        [[ $_kvcli_word != incr ]] || return 0
    done
    return 1
}

# Read so many bytes of the answer into a variable.
_kvcli_take() {
    if [[ $_kvcli_kind == s ]] || (( $1 == 0 )); then
        return 0
    elif [[ $_kvcli_kind != a && ${LC_ALL@a} == *r* ]]; then
        return 1 # Then there is no reading of bytes.
    elif [[ $_kvcli_kind == a ]]; then
        builtin read ${TMOUT:+-t99999999} -r -N "$(( $1 ))" -u "$_kvcli_answers" "$2"
    else
        LC_ALL=C builtin read ${TMOUT:+-t99999999} -r -N "$(( $1 ))" -u "$_kvcli_answers" "$2"
    fi
}

# Print an answer, or set the variable, and give the exit code.
_kvcli_deliver() {
    if [[ $_kvcli_name && $_kvcli_kind == e ]]; then
        builtin printf '%s\n' "kvcli: a variable of bash cannot hold the NUL bytes of this value" >&2
        return 5
    elif [[ $_kvcli_name ]]; then
        builtin printf -v "$_kvcli_name" %s "$_kvcli_out" || return 2
    elif [[ $_kvcli_kind == e ]]; then
        builtin printf %b "$_kvcli_out" 2> /dev/null || { _kvcli_unwritten "$@"; return "$?"; }
    else
        builtin printf %s "$_kvcli_out" 2> /dev/null || { _kvcli_unwritten "$@"; return "$?"; }
    fi
    if [[ $_kvcli_err ]]; then
        builtin printf %s "$_kvcli_err" >&2 2> /dev/null
    fi
    return "$_kvcli_code"
}

# Nothing, or not all, of the answer could be written: the real command says so, but must not increment twice.
_kvcli_unwritten() {
    if ! _kvcli_counts "$@"; then
        "${_kvcli_program[@]}" "$@"
    else
        "${_kvcli_server[@]}" '' "${_kvcli_out-${_kvcli_head:20:${_kvcli_head:4:8}}}"
    fi
}

# Run the real command.
_kvcli_run() {
    [[ ${_kvcli_program-} ]] || local -a _kvcli_program=(command kvcli) # Arrays are not exported, as functions may be.
    if [[ ! $_kvcli_name ]]; then
        "${_kvcli_program[@]}" "$@"
        return "$?"
    fi
    local _kvcli_out _kvcli_err='' _kvcli_code _kvcli_kind=b
    local -a _kvcli_parts
    builtin mapfile -d '' -t _kvcli_parts < <("${_kvcli_program[@]}" "$@"; builtin printf '/%s' "$?")
    (( ${#_kvcli_parts[@]} == 1 )) || _kvcli_kind=e
    _kvcli_out=${_kvcli_parts[0]%/*} _kvcli_code=${_kvcli_parts[-1]##*/} # No letter: it could be half of one.
    _kvcli_deliver "$@"
}

# Take a channel for this process, and start the server where there is none.
_kvcli_claim() {
    local _kvcli_try _kvcli_number _kvcli_file
    [[ ! $_kvcli_is_off && ${_kvcli_server-} ]] || return 1
    if [[ $_kvcli_owner == "$BASHPID" && ! $_kvcli_is_lost ]]; then
        { builtin printf 0 > "$_kvcli_folder/$_kvcli_channel.lock"; } 2> /dev/null # Cut short: the server makes it anew.
    fi
    if [[ $_kvcli_requests ]]; then
        { command exec {_kvcli_requests}>&- {_kvcli_answers}<&-; } 2> /dev/null
    fi
    _kvcli_owner='' _kvcli_requests='' _kvcli_answers=''
    if [[ $_kvcli_is_lost || ! -d $_kvcli_folder ]]; then
        "${_kvcli_server[@]}" "$_kvcli_folder" "$$" < /dev/null > /dev/null 2>&1 || { _kvcli_is_off=1; return 1; }
        _kvcli_is_lost=''
    fi
    [[ -O $_kvcli_folder ]] || { _kvcli_is_off=1; return 1; } # Somebody else's: its name is no secret while it is there.
    for (( _kvcli_try = 0; _kvcli_try < 32; _kvcli_try++ )); do
        _kvcli_number=$(( (BASHPID + _kvcli_try) % 32 ))
        _kvcli_file=$_kvcli_folder/$_kvcli_number
        [[ ! -e $_kvcli_file.lock && -p $_kvcli_file.q && -p $_kvcli_file.a ]] || continue
        set -C # Of many who want it, one makes the file.
        { builtin printf %s "$BASHPID" > "$_kvcli_file.lock"; } 2> /dev/null && _kvcli_owner=$BASHPID
        set +C
        [[ $_kvcli_owner ]] || continue
        _kvcli_channel=$_kvcli_number _kvcli_is_cut=''
        _kvcli_open "$_kvcli_file" && return 0
        _kvcli_owner=''
        return 1
    done
    return 1
}

# Open both ways such that a dead server is neither a SIGPIPE nor waited for, but the end of the answers; and at numbers that
# scripts which count their own do not use. As a command, since in posix mode a failed exec would be the end of the shell.
_kvcli_open() {
    local _kvcli_both _kvcli_number=199
    while [[ -e /dev/fd/$((++_kvcli_number)) || -e /dev/fd/$((_kvcli_number + 1)) ]]; do :; done
    _kvcli_requests=$_kvcli_number _kvcli_answers=$((_kvcli_number + 1))
    {
        command exec {_kvcli_both}<> "$1.a" &&
            eval "command exec $_kvcli_requests<> \"\$1.q\" $_kvcli_answers< \"\$1.a\"" && command exec {_kvcli_both}>&-
    } 2> /dev/null
}
