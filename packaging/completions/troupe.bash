# Completion of troupe for bash. tests/scripts/options_test.py compares the
# lists of options with the manual page.
_troupe() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local subcommand=${COMP_WORDS[1]} options='' index
  COMPREPLY=()

  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen \
      -W 'exec map run lint completion version --help' -- "$current")
    return
  fi

  case $subcommand in
    exec) options='--timeout --grace --retries --shell --json' ;;
    map) options='-j --jobs -a --arg-file -0 --null --timeout --retries -k
      --keep-order --tag --halt --joblog --resume --dry-run --bar' ;;
    run) options='--input --job -j --jobs --output --dry-run --json' ;;
    completion)
      mapfile -t COMPREPLY < <(compgen -W 'bash zsh fish' -- "$current")
      return
      ;;
  esac

  # After `--` another program's words begin.
  if [ "$subcommand" = exec ]; then
    for ((index = 2; index < COMP_CWORD; ++index)); do
      if [ "${COMP_WORDS[index]}" = -- ] && declare -F _command_offset >/dev/null; then
        _command_offset $((index + 1))
        return
      fi
    done
  fi

  case $previous in
    --timeout | --grace)
      mapfile -t COMPREPLY < <(compgen -W '500ms 5s 30s 5m 1h' -- "$current")
      return
      ;;
    --halt)
      mapfile -t COMPREPLY < <(compgen \
        -W 'now,fail=1 soon,fail=1 now,fail=10% soon,fail=10%' -- "$current")
      return
      ;;
    --output)
      mapfile -t COMPREPLY < <(compgen -W 'none failed all' -- "$current")
      return
      ;;
    -j | --jobs | --retries | --input | --job) return ;;
    -a | --arg-file | --joblog) options='' ;;
  esac

  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$current")
  else
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -F _troupe troupe
