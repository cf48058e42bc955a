# Completes the command lines of the attention server's programs in bash:
#
#   source <(attention_client completion)
#
# Flags are those of each program's --help, names of layers those that the server has.

# Sets words to those of the line up to the cursor, the last of which is to be completed. Bash's own
# COMP_WORDS are taken apart at =, : and @ too.
_attention_split() {
  local line=${COMP_LINE:0:COMP_POINT}
  read -ra words <<<"$line"
  [[ $line != *[[:blank:]] ]] || words+=("")
}

# _attention_commands FLAGS: sets commands to the words that are neither flags nor their values. Those of
# FLAGS that end in = take one.
_attention_commands() {
  local i flags=" $1 "
  commands=()
  for ((i = 1; i < ${#words[@]} - 1; ++i)); do
    if [[ ${words[i]} != -* ]]; then
      commands+=("${words[i]}")
    elif [[ ${words[i]} != *=* && $flags == *" ${words[i]}= "* ]]; then
      ((++i))
    fi
  done
}

# The layers of the server that the line names, or of the default one.
_attention_layers() {
  local target=localhost:50051
  [[ $COMP_LINE =~ --target[=\ ]([^\ ]+) ]] && target=${BASH_REMATCH[1]}
  attention_client layers list --target="$target" --timeout=1s 2>/dev/null |
    sed -n 's/^\([A-Za-z0-9._-]*\)@[0-9]* .*/\1/p' | sort --unique
}

_attention_complete() {
  local program=$1 words commands flags word value choices=
  COMPREPLY=()
  _attention_split
  word=${words[-1]}
  flags=$("$program" --help 2>/dev/null | grep --only-matching -e '--[a-z][a-z_]*=\?' | sort --unique | tr '\n' ' ')
  value=${word#*=}
  case $word in
    --layer=*) choices=$(_attention_layers) ;;
    --color=*) choices="auto always never" ;;
    --*=*) ;;
    -*)
      mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$word")
      [[ ${COMPREPLY[0]:-} != *= ]] || compopt -o nospace
      return
      ;;
    *)
      if [[ ${program##*/} == attention_client ]]; then
        _attention_commands "$flags"
        case "${commands[*]}" in
          "") choices="attend explain encode layers health completion" ;;
          layers) choices="list get upload create delete" ;;
          "layers get" | "layers delete") choices=$(_attention_layers) ;;
        esac
      fi
      ;;
  esac
  if [[ -n $choices ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$value")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$value")
  fi
}

complete -o filenames -F _attention_complete attention_client attention_loadtest attention_server
