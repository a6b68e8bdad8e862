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
    _troupe_offer 'exec map run up ps restart stop start scale logs down node
      config audit cluster submit list status wait cancel retry approve why edit forget pause resume group
      triggers stats top cached artifact graph insights lint test schema completion version --help'
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
    run) options='--input --job -j --jobs --output --approve --approve-all --resources
      --dry-run --no-cache --json' ;;
    up) options='-d --detach' ;;
    ps) options='--json -f --file' ;;
    down) options='-f --file' ;;
    restart) options='-f --file' ;;
    stop) options='-f --file' ;;
    start) options='-f --file' ;;
    scale) options='-f --file' ;;
    logs) options='-f --follow -n --lines --tail --file --attempt --stdout
      --stderr --timestamps --socket' ;;
    node) options='--config --folder --socket -d --detach --upgrade' ;;
    config) options='--config --json' ;;
    audit) options='--config --folder --head --json' ;;
    submit) options='--array --each-line -0 --null -f --file --input --job
      --no-cache --jobs --name --tag --group --priority --after --at --delay
      --key --spread --at-most-once --resources --runs-on --stdin --success-codes
      --output-limit --lease-loss --timeout --grace --retries --retry-delay --backoff --max-delay --cwd
      --env --clear-env --limit --nice --request-id --wait --follow --block
      --socket --json' ;;
    list) options='--group --tag --all --running --queued --failed --dead
      --ended --limit --watch --socket --json' ;;
    status) options='--socket --json' ;;
    wait) options='--any --timeout --socket --json' ;;
    cancel) options='--socket --json' ;;
    retry) options='--failed --dead --group --from --socket --json' ;;
    approve) options='--input --reject --reason --socket --json' ;;
    why) options='--socket --json' ;;
    edit) options='--name --tag --group --priority --resources --runs-on --at --socket
      --json' ;;
    forget) options='--ended --socket --json' ;;
    pause) options='--group --all --running --socket --json' ;;
    resume) options='--group --all --socket --json' ;;
    cluster) options='--authority --folder --valid --renew --token --answer --within --socket --json' ;;
    group) options='--slots --weight --rate --break-after --break-pause
      --socket --json' ;;
    triggers) options='--next --socket --json' ;;
    stats) options='--socket --json' ;;
    top) options='--socket --json' ;;
    graph) options='--format --socket' ;;
    insights) options='--runs --socket --json' ;;
    lint) options='--strict --what-if-dies --json' ;;
    cached) options='--key --source --generates --max-age --success-codes --refresh
      --store' ;;
    artifact) options='--into --version --instance --retention --store --socket --json' ;;
    test) options='--kill --expect --for --json' ;;
    schema) options='--format' ;;
    completion)
      _troupe_offer 'bash zsh fish'
      return
      ;;
  esac

  # After `--` another program's words begin.
  if [[ $subcommand =~ ^(exec|submit|edit)$ ]]; then
    for ((index = 2; index < COMP_CWORD; ++index)); do
      if [ "${COMP_WORDS[index]}" = -- ] && declare -F _command_offset >/dev/null; then
        _command_offset $((index + 1))
        return
      fi
    done
  fi

  case $previous in
    --timeout | --grace | --delay | --retry-delay | --max-delay | --break-pause)
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
    --priority)
      _troupe_offer 'low normal high critical'
      return
      ;;
    --format)
      _troupe_offer 'dot mermaid'
      return
      ;;
    --output)
      _troupe_offer 'none failed all'
      return
      ;;
    --cwd | --results | --folder | --authority)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$current")
      return
      ;;
    -j | --jobs | -d | --delimiter | -n | --max-args | --colsep | --load | \
      --memfree | --retries | --backoff | --jitter | --env | --umask | --nice | \
      --input | --job | --what-if-dies | --next | --array | --name | --group | --after | \
      --at | --key | --resources | --runs-on | --success-codes | --output-limit | \
      --request-id | --slots | --weight | --rate | --break-after | --attempt | \
      --tail | --lines | --from | --runs | --token | --valid) return ;;
    -a | --arg-file | --joblog | --each-line | --stdin | --socket | --config) options='' ;;
  esac

  if [[ $current == -* ]]; then
    _troupe_offer "$options --help"
  elif [[ $subcommand =~ ^(restart|stop|start|scale|logs)$ && $previous != -f &&
    $previous != --file ]]; then
    _troupe_offer "$(troupe ps --json 2>/dev/null |
      sed -n 's/.*"name": "\([^"]*\)".*/\1/p')"
  elif [ "$subcommand" = list ]; then
    _troupe_offer 'runs'
  elif [ "$subcommand" = config ] && [ "$COMP_CWORD" -eq 2 ]; then
    _troupe_offer 'check'
  elif [ "$subcommand" = cluster ] && [ "$COMP_CWORD" -eq 2 ]; then
    _troupe_offer 'init token enrol sign revoke certificates status nodes ring doctor owner drain consent'
  elif [ "$subcommand" = group ] && [ "$COMP_CWORD" -eq 2 ]; then
    _troupe_offer 'list add set limit remove'
  elif [[ $subcommand =~ ^(status|wait|cancel|retry|approve|why|edit|forget|pause|resume)$ &&
    $previous != --socket ]]; then
    _troupe_offer "$(troupe list --json 2>/dev/null |
      sed -n 's/^ *"job": \([0-9]*\).*/\1/p')
      $(troupe list runs --json 2>/dev/null |
      sed -n 's/^ *"run": \([0-9]*\).*/r\1/p')"
  else
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -F _troupe troupe
