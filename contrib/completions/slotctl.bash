# bash completion for slotctl(1)

_slotctl_names() {
	# KEY COMMAND...: the values of a key in what slotctl tells programs
	local key=$1
	shift
	slotctl --json "$@" 2>/dev/null | grep -o "\"$key\":\"[^\"]*\"" | cut -d'"' -f4 | sort -u
}

_slotctl_options() {
	local acquire='--ref --branch --agent --task --wait --ttl --key --priority --label
		--estimate --meta --bind --resume --no-start --no-create'

	case $1 in
	acquire) echo "$acquire --env" ;;
	run) echo "$acquire --discard" ;;
	'hook claude-worktree-create') echo '--wait --no-start --no-create' ;;
	release) echo '--agent --discard --force --no-wait' ;;
	renew) echo '--progress --message' ;;
	finish) echo '--state --message --discard --no-wait' ;;
	slots) echo '--state' ;;
	check) echo '--full --quick --strict --since-last --progress' ;;
	events) echo '--follow --since --slot' ;;
	'pool add') echo '--url --path --ref --ready --max --no-start' ;;
	'pool remove') echo '--delete-store --yes' ;;
	'pool resize') echo '--ready --max' ;;
	'slot remove') echo '--discard' ;;
	'salvage list') echo '--slot --lease' ;;
	'salvage restore') echo '--to --branch' ;;
	'ping cleanup') echo '--agent --all' ;;
	'ping reset') echo '--yes' ;;
	'daemon log') echo '--lines' ;;
	esac
}

_slotctl_operands() {
	case $1 in
	acquire | run | slots | leases | queue | 'slot add' | 'salvage list') _slotctl_names name pool list ;;
	'pool show' | 'pool remove' | 'pool resize' | 'pool pause' | 'pool resume' | \
		'pool drain' | 'pool fetch') _slotctl_names name pool list ;;
	release) _slotctl_names slot slots --state leased ;;
	renew | touch | finish) _slotctl_names lease leases ;;
	check) _slotctl_names name pool list; _slotctl_names slot slots ;;
	explain | handoff | 'slot warm' | 'slot remove') _slotctl_names slot slots ;;
	'salvage show' | 'salvage restore' | 'salvage drop') _slotctl_names id salvage list ;;
	help) _slotctl_commands ;;
	esac
}

_slotctl_commands() {
	case $1 in
	'') echo 'acquire release renew touch finish salvage run hook pool slot daemon config status slots
		leases explain handoff queue check events ping stats help version' ;;
	hook) echo 'claude-worktree-create claude-worktree-remove' ;;
	pool) echo 'list show add remove resize pause resume drain fetch' ;;
	slot) echo 'add warm remove' ;;
	salvage) echo 'list show restore drop' ;;
	daemon) echo 'start stop status log' ;;
	config) echo 'check show' ;;
	ping) echo 'health cleanup reset' ;;
	esac
}

_slotctl_value() {
	case $1 in
	--priority) echo 'critical high medium low' ;;
	--bind) echo 'ttl process manual' ;;
	--label) echo 'simple complex research epic' ;;
	--slot) _slotctl_names slot slots ;;
	--lease) _slotctl_names lease salvage list ;;
	--state)
		case $2 in
		finish) echo 'done failed blocked' ;;
		*) echo 'creating ready preparing leased cleaning recovering isolated removing' ;;
		esac ;;
	esac
}

_slotctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local global='--socket --system --user --json --timeout --quiet --verbose --help --version'
	local command='' i word

	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--)
			COMPREPLY=($(compgen -c -- "$cur") $(compgen -f -- "$cur"))
			return ;;
		--socket | --timeout) ((i++)) ;;
		-*) ;;
		*)
			if [[ -z $command ]]; then
				command=$word
			elif [[ " $(_slotctl_commands "$command") " == *[[:space:]]"$word"[[:space:]]* ]]; then
				command="$command $word"
			fi ;;
		esac
	done

	case $prev in
	--socket | --path | --to)
		COMPREPLY=($(compgen -f -- "$cur"))
		return ;;
	--priority | --bind | --label | --slot | --lease | --state)
		COMPREPLY=($(compgen -W "$(_slotctl_value "$prev" "$command")" -- "$cur"))
		return ;;
	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$global $(_slotctl_options "$command")" -- "$cur"))
	elif [[ $command == 'config check' ]]; then
		COMPREPLY=($(compgen -f -- "$cur"))
	else
		COMPREPLY=($(compgen -W "$(_slotctl_commands "$command") $(_slotctl_operands "$command")" \
			-- "$cur"))
	fi
}

complete -F _slotctl slotctl
