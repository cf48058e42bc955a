# Completes the command lines of the attention server's programs in bash:
#
#   source <(attention_client completion)
#
# Flags are those of each program's --help, names of layers those that the server has.

# The words after the command's name that are no flags.
_attention_words() {
  local i
  words=()
  for ((i = 1; i < COMP_CWORD; ++i)); do
    [[ ${COMP_WORDS[i]} == -* || ${COMP_WORDS[i]} == = || ${COMP_WORDS[i - 1]} == = ]] ||
      words+=("${COMP_WORDS[i]}")
  done
}

# The layers of the server that the command line names, or of the default one.
_attention_layers() {
  local target=localhost:50051
  [[ $COMP_LINE =~ --target[=\ ]([^\ ]+) ]] && target=${BASH_REMATCH[1]}
  attention_client layers list --target="$target" --timeout=1s 2>/dev/null |
    sed -n 's/^\([A-Za-z0-9._-]*\)@[0-9]* .*/\1/p' | sort --unique
}

_attention_complete() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} program=$1 words choices=
  COMPREPLY=()
  # Bash takes --flag=value apart at the equals sign.
  if [[ $word == = ]]; then
    before=$before= word=
  elif [[ $before == = ]]; then
    before=${COMP_WORDS[COMP_CWORD - 2]}=
  fi
  case $before in
    --layer=) choices=$(_attention_layers) ;;
    --color=) choices="auto always never" ;;
    --*=) mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
  esac
  if [[ -z $choices && $word == -* ]]; then
    choices=$("$program" --help 2>/dev/null | grep --only-matching -e '--[a-z][a-z_]*=\?' | sort --unique)
    mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
    [[ ${COMPREPLY[0]:-} != *= ]] || compopt -o nospace
    return
  fi
  if [[ -z $choices && ${program##*/} == attention_client ]]; then
    _attention_words
    case "${words[*]}" in
      "") choices="attend explain encode layers health completion" ;;
      layers) choices="list get upload create delete" ;;
      "layers get" | "layers delete") choices=$(_attention_layers) ;;
    esac
  fi
  if [[ -n $choices ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  fi
}

complete -o filenames -F _attention_complete attention_client attention_loadtest attention_server
