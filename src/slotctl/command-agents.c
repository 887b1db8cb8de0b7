/* The commands of agents and their harnesses, with their options. */
#include "slotctl/command-table.h"

static const struct option acquire_options[] = {
	{ "ref", 0, "REF", OPTION_STRING, "ref",
	  "the commit, branch or tag to stand at; default: the pool's" },
	{ "branch", 0, "NAME", OPTION_STRING, "branch",
	  "check out this branch, made when it is not there; default: detached" },
	{ "agent", 0, "ID", OPTION_STRING, "agent", "who works" },
	{ "task", 0, "ID", OPTION_STRING, "task", "what for" },
	{ "wait", 0, "DUR", OPTION_DURATION, "waitUsec",
	  "wait so long when all slots are leased; default: only for one that is being made" },
	{ "ttl", 0, "DUR", OPTION_DURATION, "ttlUsec",
	  "the lease ends so long after its last renewal, within what the pool allows; "
	  "default: the pool's" },
	{ "key", 0, "KEY", OPTION_STRING, "key", "same key and request, same lease" },
	{ "priority", 0, "P", OPTION_PRIORITY, "priority",
	  "critical, high, medium, low or a number; the greater is served first" },
	{ "label", 0, "L", OPTION_LIST, "labels", "a label, as simple, complex, research or epic; may come again" },
	{ "estimate", 0, "DUR", OPTION_DURATION, "estimateUsec",
	  "how long the work will probably take; lease.mode multipliers reckons with it" },
	{ "meta", 0, "K=V", OPTION_MAP, "meta", "a note of your own; may come again" },
	{ "bind", 0, "HOW", OPTION_STRING, "bind",
	  "what keeps the lease: ttl, process[:PID] or manual; several are joined by +" },
	{ "resume", 0, "WHAT", OPTION_STRING, "resume",
	  "go on with the work of a lease, task or branch that has ended" },
	{ "no-start", 0, NULL, OPTION_FLAG, NULL, "do not start the user's daemon" },
	{ "no-create", 0, NULL, OPTION_FLAG, NULL, "do not make a pool for this repository" },
	END,
};

static const struct option hook_create_options[] = {
	{ "wait", 0, "DUR", OPTION_DURATION, "waitUsec",
	  "wait so long when all slots are leased; default: only for one that is being made" },
	{ "no-start", 0, NULL, OPTION_FLAG, NULL, "do not start the user's daemon" },
	{ "no-create", 0, NULL, OPTION_FLAG, NULL, "do not make a pool for this repository" },
	END,
};

static const struct option env_option[] = {
	{ "env", 0, NULL, OPTION_FLAG, NULL, "print shell exports instead of the path" },
	END,
};

static const struct option release_options[] = {
	{ "agent", 0, "ID", OPTION_STRING, "agent",
	  "as given to acquire: lets SLOT or PATH name the lease from another shell" },
	{ "force", 0, NULL, OPTION_FLAG, "force", "take it from a live holder (operators)" },
	{ "no-wait", 0, NULL, OPTION_OFF, "wait", "do not wait until the slot is clean" },
	END,
};

static const struct option progress_options[] = {
	{ "progress", 0, "PCT", OPTION_PERCENT, "progress", "how much is done, 0 to 100" },
	{ "message", 0, "TEXT", OPTION_STRING, "message", "one line for people" },
	END,
};

static const struct option finish_options[] = {
	{ "state", 0, "STATE", OPTION_STRING, "state", "done, failed or blocked; default: done" },
	{ "message", 0, "TEXT", OPTION_STRING, "message", "one line for who comes next" },
	{ "no-wait", 0, NULL, OPTION_OFF, "wait", "do not wait until the slot is clean" },
	END,
};

static const struct option salvage_list_options[] = {
	{ "slot", 0, "SLOT", OPTION_STRING, "slot", "only what was saved of this slot" },
	{ "lease", 0, "LEASE", OPTION_STRING, "lease", "only what was saved of this lease" },
	END,
};

static const struct option salvage_restore_options[] = {
	{ "to", 0, "DIR", OPTION_STRING, NULL, "into this directory, which is new or empty" },
	{ "branch", 0, "NAME", OPTION_STRING, NULL, "as a commit on a new branch" },
	END,
};

const struct command agents_commands[] = {
	{ "acquire",
	  COMMAND_GROUP_AGENTS,
	  cmd_acquire,
	  "[POOL]",
	  0,
	  1,
	  false,
	  "lease a slot and print its path",
	  "Leases a ready slot and prints its path; with --json the lease, with --env lines for "
	  "a shell's eval. POOL may be left out inside a repository or a slot; the user's own "
	  "daemon is started, and a pool made, when there is none. When all slots are leased it "
	  "ends at once with exit status 3, unless --wait is given.",
	  { acquire_options, env_option } },
	{ "release",
	  COMMAND_GROUP_AGENTS,
	  cmd_release,
	  "[LEASE|SLOT|PATH]",
	  0,
	  1,
	  false,
	  "give a slot back",
	  "Ends the lease and returns the slot. Without an argument: SLOT_LEASE, else the slot "
	  "of the working directory. SLOT and PATH, and the working directory, are for the "
	  "process that acquired and its descendants; from another shell give the lease, or "
	  "--agent as in acquire, or set SLOT_LEASE from acquire --env. Work that is safe "
	  "nowhere else is saved, and how to have it back is printed; what cannot be saved isolates the slot, "
	  "which is kept as it is. --discard throws it away.",
	  { release_options, discard_option } },
	{ "renew",
	  COMMAND_GROUP_AGENTS,
	  cmd_renew,
	  "[LEASE]",
	  0,
	  1,
	  false,
	  "prolong a lease, report progress",
	  "Without LEASE: SLOT_LEASE.",
	  { progress_options } },
	{ "touch",
	  COMMAND_GROUP_AGENTS,
	  cmd_touch,
	  "[LEASE]",
	  0,
	  1,
	  false,
	  "give a sign of life",
	  "A sign of life that is no progress. Without LEASE: SLOT_LEASE.",
	  { NULL } },
	{ "finish",
	  COMMAND_GROUP_AGENTS,
	  cmd_finish,
	  "[LEASE]",
	  0,
	  1,
	  false,
	  "declare the end, give the slot back",
	  "Declares how the work ended and releases the slot. Without LEASE: SLOT_LEASE.",
	  { finish_options, discard_option } },
	{ "handoff",
	  COMMAND_GROUP_AGENTS,
	  cmd_handoff,
	  "[SLOT|TASK]",
	  0,
	  1,
	  false,
	  "what the previous holder left",
	  "Says what the last holder of a slot, a task or a branch left, and how to go on with it; of a slot "
	  "that is leased, what its holder was given. Also takes a lease or a path. Without an argument: "
	  "SLOT_LEASE, else the slot of the working directory.",
	  { NULL } },
	{ "salvage list",
	  COMMAND_GROUP_AGENTS,
	  cmd_salvage_list,
	  "[POOL]",
	  0,
	  1,
	  false,
	  "what was saved",
	  "Lists what was saved of slots when their leases ended, oldest first: changes, untracked files, what was "
	  "staged, commits that no branch has, merges and the like in progress.",
	  { salvage_list_options } },
	{ "salvage show",
	  COMMAND_GROUP_AGENTS,
	  cmd_salvage_show,
	  "ID",
	  1,
	  1,
	  false,
	  "what is in it",
	  "Says whose it was, what it stands on and what changed, and how to get it back. ID is as 'salvage list' "
	  "shows it, or the whole ref, or the beginning of the commit.",
	  { NULL } },
	{ "salvage restore",
	  COMMAND_GROUP_AGENTS,
	  cmd_salvage_restore,
	  "ID",
	  1,
	  1,
	  false,
	  "get it back",
	  "Puts everything back as it was left: into the slot of SLOT_LEASE, else of the working directory, with "
	  "HEAD, index and what was in progress, if that slot is clean; or into a directory of yours, which may be "
	  "anywhere; or as one commit on a new branch. Nothing is overwritten. It stays saved.",
	  { salvage_restore_options } },
	{ "salvage drop",
	  COMMAND_GROUP_AGENTS,
	  cmd_salvage_drop,
	  "ID",
	  1,
	  1,
	  false,
	  "throw it away",
	  "For who held the lease, and for operators. What is saved goes by itself, too, when it is older or more "
	  "than the configuration's salvage section says.",
	  { NULL } },
	{ "run",
	  COMMAND_GROUP_AGENTS,
	  cmd_run,
	  "[POOL] [-- CMD...]",
	  0,
	  1,
	  true,
	  "run a command in a slot",
	  "Leases a slot, runs CMD in it with SLOT_PATH, SLOT_LEASE and the like in its "
	  "environment, renews the lease meanwhile, and gives the slot back afterwards. Without "
	  "CMD, on a terminal: $SHELL. Ends with CMD's own exit status, or with 5 when the lease "
	  "was lost. Standard output is CMD's, also with --json.",
	  { acquire_options, discard_option } },
	{ "hook claude-worktree-create",
	  COMMAND_GROUP_AGENTS,
	  cmd_hook_create,
	  "",
	  0,
	  0,
	  false,
	  "Claude Code's WorktreeCreate hook",
	  "Reads the hook's JSON from standard input, leases a slot of the repository of its cwd on "
	  "the branch worktree-NAME, and prints the slot's path. The lease is bound to the harness. "
	  "The same session and name get the same slot again.",
	  { hook_create_options } },
	{ "hook claude-worktree-remove",
	  COMMAND_GROUP_AGENTS,
	  cmd_hook_remove,
	  "",
	  0,
	  0,
	  false,
	  "Claude Code's WorktreeRemove hook",
	  "Reads the hook's JSON from standard input and gives the slot at its worktree_path back. "
	  "Work that is safe nowhere else is saved; what cannot be saved isolates the slot, which is kept as it is.",
	  { NULL } },
	END,
};
