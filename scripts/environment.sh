# The private Python environment of a checkout: found, made, kept up to date, repaired. Sourced by the scripts beside it.
#
# POSIX sh only (dash, macOS): no `local`, so every function prefixes what it sets. The caller sets
#     checkout    the checkout's absolute path
#     program     the name that messages start with
# and calls `prepare_environment run` or `prepare_environment dev` (with the tools that scripts/test needs). That leaves
# the interpreter in $environment_python, or ends the script with a sentence that says what is missing.
#
# On disk:
#     .venv/                    the environment
#     .venv/.rmqctl-run|-dev    stamps: for which checkout, pyproject.toml and Python that variant was installed
#     .cache/environment.unfinished    there while .venv is written to; found later, it says that .venv is half-made
#     .cache/environment.lock   a symbolic link that names the process which is at work on .venv
#     .cache/environment.log    what Python and pip had to say

environment=$checkout/.venv
environment_python=$environment/bin/python
environment_lock=$checkout/.cache/environment.lock
environment_log=$checkout/.cache/environment.log
environment_unfinished=$checkout/.cache/environment.unfinished
environment_wait_seconds=900 # a first install over a slow line, with room to spare

# A private environment: nothing of the caller's own Python set-up leaks into it. Without compiled modules on disk (container
# images like to say so) each start would compile them all: 0.2 s, and 2 MiB of a cluster.
unset PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE

prepare_environment() {
    variant=$1
    describe_project
    environment_is_current && return 0
    hold_lock
    # Another start may have done the work while this one waited for the lock.
    if ! environment_is_current; then
        make_environment
    fi
    release_lock
}

say() { printf '%s: %s\n' "$program" "$1" >&2; }

# fail WHAT WHY CURE
fail() {
    printf '%s: error: %s\n  why: %s\n  try: %s\n' "$program" "$1" "$2" "$3" >&2
    exit 1
}

# ---- is there anything to do? (the path of every start: no process but cksum)

describe_project() {
    project_sum=$(cksum <"$checkout/pyproject.toml")
}

# A stamp has four lines: checkout, checksum, the base interpreter, and how RMQCTL_PYTHON named it.
# The checkout is part of it because an environment cannot be moved: a copied folder would run the original's code.
environment_is_current() {
    [ -x "$environment_python" ] && [ ! -e "$environment_unfinished" ] || return 1
    read_stamp "$environment/.rmqctl-$variant" || return 1
    [ "$stamp_checkout" = "$checkout" ] && [ "$stamp_sum" = "$project_sum" ] && wanted_python_is "$stamp_python"
}

read_stamp() {
    stamp_checkout='' stamp_sum='' stamp_python='' stamp_asked=''
    [ -r "$1" ] || return 1
    {
        IFS= read -r stamp_checkout && IFS= read -r stamp_sum && IFS= read -r stamp_python && IFS= read -r stamp_asked
    } <"$1"
}

wanted_python_is() {
    case ${RMQCTL_PYTHON:-} in
        '' | "$1" | "${stamp_asked:-}") return 0 ;;
        *) return 1 ;;
    esac
}

# ---- one at a time

# The lock is a symbolic link because that is made in one step together with its holder's name: nobody ever sees a lock
# without knowing whose it is, which a folder with a file in it cannot promise.
hold_lock() {
    mkdir -p "$checkout/.cache" 2>/dev/null && [ -w "$checkout" ] && [ -w "$checkout/.cache" ] ||
        fail "the private environment cannot be made" "folder $checkout is not writable" \
            "give yourself write access to it, or clone the project into a folder of your own"
    lock_owner="$$ $(process_start $$)"
    lock_waited=0
    trap release_lock EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    until ln -s "$lock_owner" "$environment_lock" 2>/dev/null; do
        lock_holder=$(readlink "$environment_lock") || lock_holder='nobody'
        if ! process_is_alive "$lock_holder"; then
            break_lock "$lock_holder"
        elif [ "$lock_waited" -eq 0 ]; then
            say "another start (pid ${lock_holder%% *}) is making the private environment; waiting for it"
        fi
        [ "$lock_waited" -lt "$environment_wait_seconds" ] ||
            fail "waited $environment_wait_seconds s for the private environment to be made" \
                "$environment_lock is in the way, held by pid ${lock_holder%% *}" \
                "stop that process or, if it is not a start of $program, remove the lock; then start again"
        sleep 1
        lock_waited=$((lock_waited + 1))
    done
}

# Two starts may find the same dead holder at once. The guard sees to it that neither removes the lock that the other has
# taken in the meantime: only under it, and only if the lock still names the dead holder, is the lock removed.
break_lock() {
    if mkdir "$environment_lock.guard" 2>/dev/null; then
        if [ "$(readlink "$environment_lock")" = "$1" ]; then
            rm -f "$environment_lock"
        fi
        rmdir "$environment_lock.guard"
    fi
}

release_lock() {
    trap - EXIT INT TERM HUP
    if [ "$(readlink "$environment_lock" 2>/dev/null)" = "$lock_owner" ]; then
        rm -f "$environment_lock"
    fi
}

# When a process started: a pid alone may belong to another process by now.
process_start() {
    if [ -r "/proc/$1/stat" ]; then
        (
            read -r stat <"/proc/$1/stat"
            # The name in brackets may hold blanks: count after it. Field 22 is the start time, 20th after the name.
            # shellcheck disable=SC2086
            set -- ${stat##*) }
            shift 19
            printf '%s' "$1"
        ) 2>/dev/null
    else
        LC_ALL=C TZ=UTC ps -o lstart= -p "$1" 2>/dev/null | tr -s ' ' '_'
    fi || :
}

process_is_alive() {
    [ "$1" = "${1%% *} $(process_start "${1%% *}")" ]
}

# ---- making it

make_environment() {
    started_at=$(date +%s)
    : >"$environment_log"
    if environment_is_usable; then
        say "updating the private environment in $environment"
    else
        find_python
        say "making a private environment in $environment (Python $python_version), once"
        rebuild_environment
    fi
    install_project
    say "ready after $(($(date +%s) - started_at)) s"
}

# An environment is worth keeping if it was left whole, for this checkout, with the Python that is wanted.
environment_is_usable() {
    [ -x "$environment_python" ] && [ ! -e "$environment_unfinished" ] || return 1
    for stamp in "$environment/.rmqctl-run" "$environment/.rmqctl-dev"; do
        if read_stamp "$stamp" && [ "$stamp_checkout" != "$checkout" ]; then
            return 1
        fi
    done
    probe_python "$environment_python" && [ "$python_is_new_enough" = yes ] || return 1
    if [ -n "${RMQCTL_PYTHON:-}" ]; then
        kept_python=$python_executable
        find_python
        [ "$python_executable" = "$kept_python" ] || return 1
    fi
    "$environment_python" -m pip --version >>"$environment_log" 2>&1
}

rebuild_environment() {
    : >"$environment_unfinished"
    rm -rf "$environment" 2>>"$environment_log" ||
        fail "the old private environment could not be removed" "rm said:$(tail -n 2 "$environment_log" | indent)" \
            "remove $environment yourself, and start again"
    "$python_executable" -m venv "$environment" >>"$environment_log" 2>&1 ||
        fail "the private environment could not be made" "$python_executable -m venv said:$(tail -n 5 "$environment_log" | indent)" \
            "$(how_to_install_venv)"
}

install_project() {
    : >"$environment_unfinished"
    rm -f "$environment/.rmqctl-$variant"
    case $variant in
        dev) requirement='.[dev]' say_what='rmqctl, its libraries and the tools of scripts/test' ;;
        *) requirement='.' say_what='rmqctl and its libraries' ;;
    esac
    say "installing $say_what"
    installed=yes
    (
        # Settings of the caller that would send the packages elsewhere.
        unset PIP_TARGET PIP_PREFIX PIP_ROOT
        PIP_USER=no PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1
        export PIP_USER PIP_NO_INPUT PIP_DISABLE_PIP_VERSION_CHECK
        cd "$checkout" && exec "$environment_python" -m pip install --quiet --editable "$requirement"
    ) >>"$environment_log" 2>&1 || installed=no
    # pip has ended by itself, and puts back what it cannot finish: the environment is whole, if perhaps incomplete.
    rm -f "$environment_unfinished"
    [ "$installed" = yes ] ||
        fail "pip could not install $say_what" "pip said (in full in $environment_log):$(pip_complaints)" \
            "check the network (or pip's proxy and index settings) and start again: it goes on from here"
    write_stamps
}

write_stamps() {
    write_stamp "$environment/.rmqctl-$variant"
    # The dev variant holds everything that the other one needs.
    [ "$variant" != dev ] || write_stamp "$environment/.rmqctl-run"
}

write_stamp() {
    printf '%s\n' "$checkout" "$project_sum" "$python_executable" "${RMQCTL_PYTHON:-}" >"$1.new"
    mv "$1.new" "$1"
}

# pip ends with advice; the reason stands before it, in the lines that it marks (network trouble is only a warning to it).
pip_complaints() {
    { grep -E 'ERROR:|WARNING:' "$environment_log" || cat "$environment_log"; } | tail -n 8 | indent
}

indent() {
    while IFS= read -r line; do printf '\n    %s' "$line"; done
}

# ---- finding Python

# Sets python_executable and python_version, or ends with what was found instead.
find_python() {
    found_too_old=''
    found_without_venv=''
    venv_version=''
    if [ -n "${RMQCTL_PYTHON:-}" ]; then
        python_is_suitable "$RMQCTL_PYTHON" && return 0
    else
        for candidate in python3.13 python3.12 python3.11 python3; do
            python_is_suitable "$candidate" && return 0
        done
    fi
    explain_missing_python
}

python_is_suitable() {
    probe_python "$1" || return 1
    if [ "$python_is_new_enough" != yes ]; then
        found_too_old="${found_too_old:+$found_too_old, }$1 is Python $python_version ($python_executable)"
        return 1
    fi
    if [ "$python_has_venv" != yes ]; then
        found_without_venv=${found_without_venv:-$python_executable}
        venv_version=${venv_version:-${python_version%.*}}
        return 1
    fi
}

# A name in PATH says nothing yet (pyenv's and Xcode's stand-ins are there without a Python behind them): ask it.
# Written so that Python 2 understands it too. The base executable is asked for, so that an environment made from within
# another one (or from this one, when it is active in the caller's shell) does not depend on it.
probe_python() {
    probed=$("$1" -c '
import sys
try:
    import ensurepip, venv
    has_venv = "yes"
except ImportError:
    has_venv = "no"
print(".".join(str(part) for part in sys.version_info[:3]))
print(getattr(sys, "_base_executable", sys.executable))
print("yes" if sys.version_info >= (3, 11) else "no")
print(has_venv)
' 2>/dev/null) || return 1
    {
        IFS= read -r python_version
        IFS= read -r python_executable
        IFS= read -r python_is_new_enough
        IFS= read -r python_has_venv
    } <<PROBED
$probed
PROBED
}

explain_missing_python() {
    if [ -n "$found_without_venv" ]; then
        python_version=$venv_version.0
        fail "a private environment cannot be made" "$found_without_venv comes without the modules venv and ensurepip" \
            "$(how_to_install_venv)"
    elif [ -n "$found_too_old" ]; then
        fail "Python 3.11 or newer is needed" "$found_too_old" "$(how_to_install_python)"
    elif [ -n "${RMQCTL_PYTHON:-}" ]; then
        fail "Python 3.11 or newer is needed" "RMQCTL_PYTHON=$RMQCTL_PYTHON is no Python that starts" \
            "unset RMQCTL_PYTHON, or set it to a Python's path, such as /usr/bin/python3.11"
    else
        fail "Python 3.11 or newer is needed" "none of python3.13, python3.12, python3.11 and python3 starts" \
            "$(how_to_install_python)"
    fi
}

how_to_install_python() {
    if [ "$(uname -s)" = Darwin ]; then
        how='brew install python@3.13'
    elif command -v apt-get >/dev/null 2>&1; then
        how='apt-get install python3.11 python3.11-venv (Debian 12, Ubuntu 22.04 or newer)'
    elif command -v dnf >/dev/null 2>&1; then
        how='dnf install python3.11'
    else
        how="install it from your system's packages"
    fi
    printf '%s, or name one that is elsewhere: RMQCTL_PYTHON=/path/to/python3.11 scripts/%s' "$how" "$program"
}

how_to_install_venv() {
    if command -v apt-get >/dev/null 2>&1; then
        printf 'apt-get install python%s-venv, and start again' "${python_version%.*}"
    else
        printf 'install the venv and ensurepip modules of Python %s (they are part of every Python from python.org), ' \
            "${python_version%.*}"
        printf 'or name another one: RMQCTL_PYTHON=/path/to/python3.11 scripts/%s' "$program"
    fi
}
