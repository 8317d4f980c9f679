# SPDX-License-Identifier: MIT
# bash completion for mimosa(1): source this file, or install it as
# PREFIX/share/bash-completion/completions/mimosa.

_mimosa_heaps="buddy buddy-page mimalloc musl bump"

# The words after an option that takes one of a few values; fails for others.
_mimosa_value() {
    case $1 in
    --heap)
        local more=
        [ "${COMP_WORDS[1]}" != cc ] || more="mimalloc-secure none"
        COMPREPLY=($(compgen -W "$_mimosa_heaps $more" -- "$2"))
        ;;
    --heaps | --baseline) COMPREPLY=($(compgen -W "$_mimosa_heaps" -- "$2")) ;;
    --on) COMPREPLY=($(compgen -W "qemu linux linux-vm linux-lean" -- "$2")) ;;
    --machine) COMPREPLY=($(compgen -W "microvm microvm-acpi q35" -- "$2")) ;;
    --accel) COMPREPLY=($(compgen -W "auto kvm tcg" -- "$2")) ;;
    --net)
        case ${COMP_WORDS[1]} in
        run) COMPREPLY=($(compgen -W "user tap: socket: none" -- "$2")) ;;
        bench) COMPREPLY=($(compgen -W "user tap:" -- "$2")) ;;
        *) return 1 ;; # that of image takes no value
        esac
        ;;
    --app) COMPREPLY=($(compgen -W "redis" -- "$2")) ;;
    --tests)
        COMPREPLY=($(compgen -W "set get incr lpush lpop sadd hset zadd lrange_100 mset" -- "$2"))
        ;;
    --cpus) COMPREPLY=($(compgen -W "1 2 4 8" -- "$2")) ;;
    --mem) COMPREPLY=($(compgen -W "64M 256M 1G 2G" -- "$2")) ;;
    --root) COMPREPLY=($(compgen -d -- "$2")) ;;
    --kernel | --linux-kernel | --file | --json | --html | --check | --keep | -o)
        COMPREPLY=($(compgen -f -- "$2"))
        ;;
    --loads)
        COMPREPLY=($(compgen -W "compute cache-thrash cache-scratch larson faults echo" -- "$2"))
        ;;
    --seed | --timeout | --env | --port | --ip | --qemu | --runs | --threads | --budget | --cell | --param)
        COMPREPLY=()
        ;;
    *) return 1 ;;
    esac
}

# The examples next to the command, and files.
_mimosa_program() {
    local command bin
    command=$(readlink -f "$(type -P "${COMP_WORDS[0]}" 2>/dev/null)" 2>/dev/null)
    bin=${command%/*}/bin
    COMPREPLY=($(compgen -W "$(ls "$bin" 2>/dev/null)" -- "$1") $(compgen -f -- "$1"))
}

_mimosa() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} options
    COMPREPLY=()
    if [ "$COMP_CWORD" = 1 ]; then
        COMPREPLY=($(compgen -W "run cc image bench syscalls --help --version" -- "$word"))
        return
    fi
    _mimosa_value "$before" "$word" && return
    case ${COMP_WORDS[1]} in
    run) options="--cpus --mem --on --machine --accel --icount --seed --populate --prealloc --kernel
        --linux-kernel --qemu --heap --env --file --root --net --port --ip --timeout --strace --gdb --verbose --help" ;;
    image) options="-o --root --heap --env --net --ip --kernel --help" ;;
    bench) options="--heaps --loads --cpus --threads --on --runs --baseline --budget --cell --quick
        --mem --machine --populate --icount --param --linux-kernel --seed --timeout --json --html
        --micro --boot --app --net --tests --check --keep --help" ;;
    cc) options="--heap --help" ;;
    syscalls) options="--json --help done partial none" ;;
    *) options="--help" ;;
    esac
    case $word in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *)
        case ${COMP_WORDS[1]} in
        run | image) _mimosa_program "$word" ;;
        syscalls) COMPREPLY=($(compgen -W "done partial none" -- "$word")) ;;
        *) COMPREPLY=($(compgen -f -- "$word")) ;;
        esac
        ;;
    esac
}
complete -o filenames -F _mimosa mimosa
