# Completion of troupe for bash. tests/scripts/options_test.py compares the
# lists of options with the manual page.
_troupe_offer() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "${COMP_WORDS[COMP_CWORD]}")
}

_troupe() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local subcommand=${COMP_WORDS[1]} options='' index
  COMPREPLY=()

  if [ "$COMP_CWORD" -eq 1 ]; then
    _troupe_offer 'exec map run up ps restart stop start scale logs down lint
      completion version --help'
    return
  fi

  case $subcommand in
    exec) options='--timeout --grace --signal --retries --delay --retry-delay
      --backoff --max-delay --jitter --cwd --env --clear-env --limit --umask
      --nice --shell --json -q --quiet' ;;
    map) options='-j --jobs -a --arg-file -0 --null -d --delimiter --colsep
      --link -r --no-run-if-empty -n --max-args -k --keep-order --line-buffer -u
      --ungroup --tag --halt --joblog --resume --resume-failed --results
      --dry-run --bar --delay --load --memfree --timeout --grace --signal
      --retries --retry-delay --backoff --max-delay --jitter --cwd --env
      --clear-env --limit --umask --nice --shell' ;;
    run) options='--input --job -j --jobs --output --dry-run --json' ;;
    up) options='-d --detach' ;;
    ps) options='--json -f --file' ;;
    down) options='-f --file' ;;
    restart) options='-f --file' ;;
    stop) options='-f --file' ;;
    start) options='-f --file' ;;
    scale) options='-f --file' ;;
    logs) options='-f --follow -n --lines --file' ;;
    lint) options='--strict --what-if-dies --json' ;;
    completion)
      _troupe_offer 'bash zsh fish'
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
    --timeout | --grace | --delay | --retry-delay | --max-delay)
      _troupe_offer '100ms 500ms 1s 5s 30s 5m 1h'
      return
      ;;
    --halt)
      _troupe_offer "never now,fail=1 soon,fail=1 now,fail=10% soon,fail=10%
        now,success=1"
      return
      ;;
    --signal)
      _troupe_offer 'TERM INT HUP QUIT USR1 USR2'
      return
      ;;
    --limit)
      _troupe_offer 'cpu= memory= files= processes= file-size='
      compopt -o nospace 2>/dev/null
      return
      ;;
    --output)
      _troupe_offer 'none failed all'
      return
      ;;
    --cwd | --results)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$current")
      return
      ;;
    -j | --jobs | -d | --delimiter | -n | --max-args | --colsep | --load | \
      --memfree | --retries | --backoff | --jitter | --env | --umask | --nice | \
      --input | --job | --what-if-dies) return ;;
    -a | --arg-file | --joblog) options='' ;;
  esac

  if [[ $current == -* ]]; then
    _troupe_offer "$options --help"
  elif [[ $subcommand =~ ^(restart|stop|start|scale|logs)$ && $previous != -f &&
    $previous != --file ]]; then
    _troupe_offer "$(troupe ps --json 2>/dev/null |
      sed -n 's/.*"name": "\([^"]*\)".*/\1/p')"
  else
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -F _troupe troupe
