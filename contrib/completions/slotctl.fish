# fish completion for slotctl(1)

function __slotctl_names --description 'KEY COMMAND...: values of a key'
    slotctl --json $argv[2..-1] 2>/dev/null | string match -ra "\"$argv[1]\":\"([^\"]*)\"" -g | sort -u
end

function __slotctl_is --description 'is this the command so far?'
    set --local words (commandline -opc | string match -v -- '-*')
    test "$words[2..-1]" = "$argv" ; or string match -q -- "$argv *" "$words[2..-1]"
end

function __slotctl_needs_command
    set --local words (commandline -opc | string match -v -- '-*')
    test (count $words) -eq 1
end

function __slotctl_needs_second
    set --local words (commandline -opc | string match -v -- '-*')
    test (count $words) -eq 2; and test $words[2] = $argv[1]
end

complete -c slotctl -f
complete -c slotctl -l socket -rF -d 'the daemon that listens there'
complete -c slotctl -l system -d 'the system daemon'
complete -c slotctl -l user -d 'your own daemon'
complete -c slotctl -l json -d 'print JSON for programs'
complete -c slotctl -l timeout -x -d 'give up after this'
complete -c slotctl -s q -l quiet -d 'say nothing but errors'
complete -c slotctl -s v -l verbose -d 'say more'
complete -c slotctl -s h -l help -d 'show help and end'
complete -c slotctl -l version -d 'show the version and end'

complete -c slotctl -n __slotctl_needs_command -a acquire -d 'lease a slot and print its path'
complete -c slotctl -n __slotctl_needs_command -a release -d 'give a slot back'
complete -c slotctl -n __slotctl_needs_command -a renew -d 'prolong a lease, report progress'
complete -c slotctl -n __slotctl_needs_command -a touch -d 'give a sign of life'
complete -c slotctl -n __slotctl_needs_command -a finish -d 'declare the end, give the slot back'
complete -c slotctl -n __slotctl_needs_command -a salvage -d 'what was saved'
complete -c slotctl -n __slotctl_needs_command -a run -d 'run a command in a slot'
complete -c slotctl -n __slotctl_needs_command -a hook -d 'what Claude Code runs'
complete -c slotctl -n __slotctl_needs_command -a pool -d 'look after pools'
complete -c slotctl -n __slotctl_needs_command -a slot -d 'look after slots'
complete -c slotctl -n __slotctl_needs_command -a daemon -d 'your own slotd'
complete -c slotctl -n __slotctl_needs_command -a config -d 'slotd.yaml'
complete -c slotctl -n __slotctl_needs_command -a status -d 'the overview'
complete -c slotctl -n __slotctl_needs_command -a slots -d 'each slot with its state and reason'
complete -c slotctl -n __slotctl_needs_command -a leases -d 'who holds what, and until when'
complete -c slotctl -n __slotctl_needs_command -a handoff -d 'what the previous holder left'
complete -c slotctl -n __slotctl_needs_command -a explain -d 'why a slot or a lease is as it is'
complete -c slotctl -n __slotctl_needs_command -a queue -d 'who waits, and why'
complete -c slotctl -n __slotctl_needs_command -a check -d 'is everything whole?'
complete -c slotctl -n __slotctl_needs_command -a events -d 'the history'
complete -c slotctl -n __slotctl_needs_command -a stats -d 'what has happened to leases'
complete -c slotctl -n __slotctl_needs_command -a ping -d 'does slotd answer?'
complete -c slotctl -n __slotctl_needs_command -a help -d 'explain a command'
complete -c slotctl -n __slotctl_needs_command -a version -d 'versions of slotctl and slotd'

complete -c slotctl -n '__slotctl_needs_second hook' -a 'claude-worktree-create claude-worktree-remove'
complete -c slotctl -n '__slotctl_needs_second salvage' -a 'list show restore drop'
complete -c slotctl -n '__slotctl_needs_second pool' -a 'list show add remove resize pause resume drain fetch'
complete -c slotctl -n '__slotctl_needs_second slot' -a 'add warm remove'
complete -c slotctl -n '__slotctl_needs_second daemon' -a 'start stop status log'
complete -c slotctl -n '__slotctl_needs_second config' -a 'check show'
complete -c slotctl -n '__slotctl_needs_second ping' -a 'health cleanup reset'

for command in acquire run
    complete -c slotctl -n "__slotctl_is $command" -a '(__slotctl_names name pool list)'
    complete -c slotctl -n "__slotctl_is $command" -l ref -x -d 'where to stand'
    complete -c slotctl -n "__slotctl_is $command" -l branch -x -d 'branch to check out'
    complete -c slotctl -n "__slotctl_is $command" -l agent -x -d 'who works'
    complete -c slotctl -n "__slotctl_is $command" -l task -x -d 'what for'
    complete -c slotctl -n "__slotctl_is $command" -l wait -x -d 'wait so long'
    complete -c slotctl -n "__slotctl_is $command" -l ttl -x -d 'time to live'
    complete -c slotctl -n "__slotctl_is $command" -l key -x -d 'same key, same lease'
    complete -c slotctl -n "__slotctl_is $command" -l priority -xa 'critical high medium low'
    complete -c slotctl -n "__slotctl_is $command" -l label -xa 'simple complex research epic' -d 'a label'
    complete -c slotctl -n "__slotctl_is $command" -l resume -x -d 'go on with this lease, task or branch'
    complete -c slotctl -n "__slotctl_is $command" -l estimate -x -d 'how long it will take'
    complete -c slotctl -n "__slotctl_is $command" -l meta -x -d 'a note, K=V'
    complete -c slotctl -n "__slotctl_is $command" -l bind -xa 'ttl process manual'
    complete -c slotctl -n "__slotctl_is $command" -l no-start -d 'do not start a daemon'
    complete -c slotctl -n "__slotctl_is $command" -l no-create -d 'do not make a pool'
end
complete -c slotctl -n '__slotctl_is hook claude-worktree-create' -l wait -x -d 'wait so long'
complete -c slotctl -n '__slotctl_is hook claude-worktree-create' -l no-start -d 'do not start a daemon'
complete -c slotctl -n '__slotctl_is hook claude-worktree-create' -l no-create -d 'do not make a pool'
complete -c slotctl -n '__slotctl_is acquire' -l env -d 'print exports'
for command in run release finish 'slot remove'
    complete -c slotctl -n "__slotctl_is $command" -l discard -d 'throw unsaved work away'
end

complete -c slotctl -n '__slotctl_is release' -a '(__slotctl_names slot slots --state leased)'
complete -c slotctl -n '__slotctl_is release' -l agent -x -d 'the holder'
complete -c slotctl -n '__slotctl_is release' -l force -d 'from a live holder'
for command in release finish
    complete -c slotctl -n "__slotctl_is $command" -l no-wait -d 'do not wait until it is clean'
end
for command in renew touch finish
    complete -c slotctl -n "__slotctl_is $command" -a '(__slotctl_names lease leases)'
end
complete -c slotctl -n '__slotctl_is renew' -l progress -x -d percent
for command in renew finish
    complete -c slotctl -n "__slotctl_is $command" -l message -x -d 'one line for people'
end
complete -c slotctl -n '__slotctl_is finish' -l state -xa 'done failed blocked'

complete -c slotctl -n '__slotctl_is pool add' -l url -x -d 'clone this'
complete -c slotctl -n '__slotctl_is pool add' -l path -rF -d 'adopt this'
complete -c slotctl -n '__slotctl_is pool add' -l ref -x -d 'where ready slots stand'
complete -c slotctl -n '__slotctl_is pool add' -l no-start -d 'do not start a daemon'
for command in 'pool add' 'pool resize'
    complete -c slotctl -n "__slotctl_is $command" -l ready -x -d 'slots to keep ready'
    complete -c slotctl -n "__slotctl_is $command" -l max -x -d 'slots at most'
end
complete -c slotctl -n '__slotctl_is pool remove' -l delete-store -d 'delete the clone'
complete -c slotctl -n '__slotctl_is pool remove' -l yes -d 'yes, delete it'
for command in 'pool show' 'pool remove' 'pool resize' 'pool pause' 'pool resume' 'pool drain' 'pool fetch' 'slot add' slots leases queue
    complete -c slotctl -n "__slotctl_is $command" -a '(__slotctl_names name pool list)'
end
complete -c slotctl -n '__slotctl_is salvage list' -l slot -xa '(__slotctl_names slot slots)' -d 'of this slot'
complete -c slotctl -n '__slotctl_is salvage list' -l lease -xa '(__slotctl_names lease salvage list)' -d 'of this lease'
complete -c slotctl -n '__slotctl_is salvage list' -a '(__slotctl_names name pool list)'
complete -c slotctl -n '__slotctl_is salvage restore' -l to -rF -d 'into this directory'
complete -c slotctl -n '__slotctl_is salvage restore' -l branch -x -d 'on a new branch'
for command in show restore drop
    complete -c slotctl -n "__slotctl_is salvage $command" -a '(__slotctl_names id salvage list)'
end
complete -c slotctl -n '__slotctl_is handoff' -a '(__slotctl_names slot slots)'
complete -c slotctl -n '__slotctl_is explain' -a '(__slotctl_names slot slots)'
complete -c slotctl -n '__slotctl_is slot remove' -a '(__slotctl_names slot slots)'
complete -c slotctl -n '__slotctl_is slot warm' -a '(__slotctl_names slot slots)'
complete -c slotctl -n '__slotctl_is slots' -l state -xa 'creating ready preparing leased cleaning recovering isolated removing'
complete -c slotctl -n '__slotctl_is check' -a '(__slotctl_names name pool list) (__slotctl_names slot slots)'
complete -c slotctl -n '__slotctl_is check' -l full -d 'read everything again'
complete -c slotctl -n '__slotctl_is check' -l quick -d 'look at slots alone'
complete -c slotctl -n '__slotctl_is check' -l strict -d 'warnings count, too'
complete -c slotctl -n '__slotctl_is check' -l since-last -d 'only what is new'
complete -c slotctl -n '__slotctl_is check' -l progress -d 'show how far it is'
complete -c slotctl -n '__slotctl_is events' -s f -l follow -d 'go on as things happen'
complete -c slotctl -n '__slotctl_is events' -l since -x -d 'begin there'
complete -c slotctl -n '__slotctl_is events' -l slot -xa '(__slotctl_names slot slots)'
complete -c slotctl -n '__slotctl_is daemon log' -s n -l lines -x -d 'so many'
complete -c slotctl -n '__slotctl_is ping cleanup' -l agent -x -d 'under this name'
complete -c slotctl -n '__slotctl_is ping cleanup' -l all -d 'for everyone'
complete -c slotctl -n '__slotctl_is ping reset' -l yes -d 'do not ask'
complete -c slotctl -n '__slotctl_is config check' -F
complete -c slotctl -n '__slotctl_is help' -a 'acquire release renew touch finish salvage run hook pool slot daemon config status slots leases explain handoff queue check events ping stats version'
