/* All commands and options, once. */
#include "slotctl/command.h"

#include <string.h>

#include "slotctl/cli.h"
#include "util/cleanup.h"
#include "util/text.h"

#define END                  \
	{                    \
		.name = NULL \
	}

const struct option global_options[] = {
	{ "socket", 0, "PATH", OPTION_STRING, NULL, "the daemon that listens there" },
	{ "system", 0, NULL, OPTION_FLAG, NULL, "the system's daemon" },
	{ "user", 0, NULL, OPTION_FLAG, NULL, "the user's own daemon" },
	{ "json", 0, NULL, OPTION_FLAG, NULL, "print JSON for programs" },
	{ "timeout", 0, "DUR", OPTION_DURATION, NULL,
	  "give up when slotd has not answered for so long" },
	{ "quiet", 'q', NULL, OPTION_FLAG, NULL, "say nothing but errors and what was asked for" },
	{ "verbose", 'v', NULL, OPTION_FLAG, NULL, "say more" },
	{ "help", 'h', NULL, OPTION_FLAG, NULL, "show help and end" },
	{ "version", 0, NULL, OPTION_FLAG, NULL, "show the version and end" },
	END,
};

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

static const struct option discard_option[] = {
	{ "discard", 0, NULL, OPTION_FLAG, "discard", "throw away what is not saved" },
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

static const struct option slots_options[] = {
	{ "state", 0, "S", OPTION_STRING, "state", "only slots in this state" },
	END,
};

static const struct option pool_add_options[] = {
	{ "url", 0, "URL", OPTION_STRING, "url", "clone this repository" },
	{ "path", 0, "PATH", OPTION_STRING, "path", "adopt the repository there" },
	{ "ref", 0, "REF", OPTION_STRING, "ref",
	  "where ready slots stand; default: origin's HEAD, else HEAD" },
	{ "ready", 0, "N", OPTION_INT, "ready", "slots to keep ready" },
	{ "max", 0, "N", OPTION_INT, "max", "slots at most" },
	{ "no-start", 0, NULL, OPTION_FLAG, NULL, "do not start the user's daemon" },
	END,
};

static const struct option pool_remove_options[] = {
	{ "delete-store", 0, NULL, OPTION_FLAG, "deleteStore",
	  "delete the clone instead of moving it aside; needs --yes" },
	{ "yes", 0, NULL, OPTION_FLAG, NULL, "yes, delete it" },
	END,
};

static const struct option pool_resize_options[] = {
	{ "ready", 0, "N", OPTION_INT, "ready", "slots to keep ready" },
	{ "max", 0, "N", OPTION_INT, "max", "slots at most" },
	END,
};

static const struct option events_options[] = {
	{ "follow", 'f', NULL, OPTION_FLAG, "follow", "go on as things happen" },
	{ "since", 0, "WHEN", OPTION_STRING, NULL,
	  "a sequence number, a duration ago, or 2026-01-31T12:00:00Z" },
	{ "slot", 0, "SLOT", OPTION_STRING, "slot", "only this slot's" },
	END,
};

static const struct option cleanup_options[] = {
	{ "agent", 0, "ID", OPTION_STRING, "agent", "what was asked for under this name" },
	{ "all", 0, NULL, OPTION_FLAG, "all", "everyone's, whose asker is gone, and delays (operators)" },
	END,
};

static const struct option reset_options[] = {
	{ "yes", 0, NULL, OPTION_FLAG, NULL, "do not ask" },
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

static const struct option log_options[] = {
	{ "lines", 'n', "N", OPTION_INT, NULL, "so many lines; default: 20" },
	END,
};

#define AGENTS	  COMMAND_GROUP_AGENTS
#define OPERATORS COMMAND_GROUP_OPERATORS
#define DIAGNOSIS COMMAND_GROUP_DIAGNOSIS

const struct command commands[] = {
	{ "acquire",
	  AGENTS,
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
	  AGENTS,
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
	  AGENTS,
	  cmd_renew,
	  "[LEASE]",
	  0,
	  1,
	  false,
	  "prolong a lease, report progress",
	  "Without LEASE: SLOT_LEASE.",
	  { progress_options } },
	{ "touch",
	  AGENTS,
	  cmd_touch,
	  "[LEASE]",
	  0,
	  1,
	  false,
	  "give a sign of life",
	  "A sign of life that is no progress. Without LEASE: SLOT_LEASE.",
	  { NULL } },
	{ "finish",
	  AGENTS,
	  cmd_finish,
	  "[LEASE]",
	  0,
	  1,
	  false,
	  "declare the end, give the slot back",
	  "Declares how the work ended and releases the slot. Without LEASE: SLOT_LEASE.",
	  { finish_options, discard_option } },
	{ "handoff",
	  AGENTS,
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
	  AGENTS,
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
	  AGENTS,
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
	  AGENTS,
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
	  AGENTS,
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
	  AGENTS,
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
	  AGENTS,
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
	  AGENTS,
	  cmd_hook_remove,
	  "",
	  0,
	  0,
	  false,
	  "Claude Code's WorktreeRemove hook",
	  "Reads the hook's JSON from standard input and gives the slot at its worktree_path back. "
	  "Work that is safe nowhere else is saved; what cannot be saved isolates the slot, which is kept as it is.",
	  { NULL } },

	{ "pool list",
	  OPERATORS,
	  cmd_pool_list,
	  "",
	  0,
	  0,
	  false,
	  "all pools",
	  "Lists the pools with their source and state.",
	  { NULL } },
	{ "pool show",
	  OPERATORS,
	  cmd_pool_show,
	  "[POOL]",
	  0,
	  1,
	  false,
	  "one pool in full",
	  "Shows everything about a pool. POOL may be left out when there is only one.",
	  { NULL } },
	{ "pool add",
	  OPERATORS,
	  cmd_pool_add,
	  "NAME",
	  1,
	  1,
	  false,
	  "make a pool",
	  "Makes a pool from a URL, which is cloned, or from the repository at PATH, which is "
	  "adopted: slots are worktrees of it. Without either: the repository of the working "
	  "directory.",
	  { pool_add_options } },
	{ "pool remove",
	  OPERATORS,
	  cmd_pool_remove,
	  "POOL",
	  1,
	  1,
	  false,
	  "remove a pool",
	  "Refused while leases live. The store of a cloned pool is moved aside, and branches "
	  "that its origin lacks are listed.",
	  { pool_remove_options } },
	{ "pool resize",
	  OPERATORS,
	  cmd_pool_resize,
	  "POOL",
	  1,
	  1,
	  false,
	  "more or fewer slots",
	  "Changes how many slots are kept ready and how many there may be.",
	  { pool_resize_options } },
	{ "pool pause",
	  OPERATORS,
	  cmd_pool_pause,
	  "POOL",
	  1,
	  1,
	  false,
	  "hand out no more slots",
	  "Leases live on; nothing new is leased until 'pool resume'.",
	  { NULL } },
	{ "pool resume",
	  OPERATORS,
	  cmd_pool_resume,
	  "POOL",
	  1,
	  1,
	  false,
	  "hand out slots again",
	  "Ends a pause or a drain.",
	  { NULL } },
	{ "pool drain",
	  OPERATORS,
	  cmd_pool_drain,
	  "POOL",
	  1,
	  1,
	  false,
	  "let a pool run empty",
	  "Leases live on; slots go when they are released.",
	  { NULL } },
	{ "pool fetch",
	  OPERATORS,
	  cmd_pool_fetch,
	  "POOL",
	  1,
	  1,
	  false,
	  "fetch from the origin now",
	  "Fetches, and answers when that is done.",
	  { NULL } },
	{ "slot add",
	  OPERATORS,
	  cmd_slot_add,
	  "POOL",
	  1,
	  1,
	  false,
	  "make one slot more",
	  "Makes one slot more than the pool keeps ready, up to its maximum.",
	  { NULL } },
	{ "slot warm",
	  OPERATORS,
	  cmd_slot_warm,
	  "SLOT",
	  1,
	  1,
	  false,
	  "warm a slot up again",
	  "Runs the pool's warmup.run in a slot that nobody has, and answers when that is done. What it "
	  "said is in the history: slotctl events --slot SLOT.",
	  { NULL } },
	{ "slot remove",
	  OPERATORS,
	  cmd_slot_remove,
	  "SLOT",
	  1,
	  1,
	  false,
	  "delete a slot",
	  "Deletes a slot that is not leased. What is safe nowhere else is saved first; refused when that "
	  "cannot be done. --discard throws it away.",
	  { discard_option } },
	{ "daemon start",
	  OPERATORS,
	  cmd_daemon_start,
	  "",
	  0,
	  0,
	  false,
	  "start your own slotd",
	  "Starts the user's daemon if it does not run: by systemd where a user manager has "
	  "slotd.socket, else detached from this session.",
	  { NULL } },
	{ "daemon stop",
	  OPERATORS,
	  cmd_daemon_stop,
	  "",
	  0,
	  0,
	  false,
	  "stop your own slotd",
	  "Asks the user's daemon to end and waits until it has. Leases live on.",
	  { NULL } },
	{ "daemon status",
	  OPERATORS,
	  cmd_daemon_status,
	  "",
	  0,
	  0,
	  false,
	  "does slotd run?",
	  "Says whether the daemon answers, and where its socket and log are.",
	  { NULL } },
	{ "daemon log",
	  OPERATORS,
	  cmd_daemon_log,
	  "",
	  0,
	  0,
	  false,
	  "what your own slotd said",
	  "Shows the end of the user's daemon's log; with --json as {\"lines\":[...]}.",
	  { log_options } },
	{ "config check",
	  OPERATORS,
	  cmd_config_check,
	  "FILE",
	  1,
	  1,
	  false,
	  "find mistakes in a file",
	  "Reads a slotd.yaml and prints everything that is wrong with it as "
	  "FILE:LINE:COLUMN: SENTENCE. Needs no daemon.",
	  { NULL } },
	{ "config show",
	  OPERATORS,
	  cmd_config_show,
	  "",
	  0,
	  0,
	  false,
	  "the configuration in force",
	  "Prints the configuration that the daemon uses, defaults included, as YAML.",
	  { NULL } },

	{ "status",
	  DIAGNOSIS,
	  cmd_status,
	  "",
	  0,
	  0,
	  false,
	  "the overview",
	  "Shows all pools with the number of slots in each state, what is wrong, and what to do "
	  "about it.",
	  { NULL } },
	{ "slots",
	  DIAGNOSIS,
	  cmd_slots,
	  "[POOL]",
	  0,
	  1,
	  false,
	  "each slot with its state and reason",
	  "States: creating, ready, preparing, leased, cleaning, recovering, isolated, removing.",
	  { slots_options } },
	{ "leases",
	  DIAGNOSIS,
	  cmd_leases,
	  "[POOL]",
	  0,
	  1,
	  false,
	  "who holds what, and until when",
	  "Shows the leases that are held.",
	  { NULL } },
	{ "explain",
	  DIAGNOSIS,
	  cmd_explain,
	  "[SLOT|LEASE|PATH]",
	  0,
	  1,
	  false,
	  "why a slot or a lease is as it is",
	  "Says in sentences how it is and what happened to it: evidence and decisions. Without an "
	  "argument: SLOT_LEASE, else the slot of the working directory.",
	  { NULL } },
	{ "queue",
	  DIAGNOSIS,
	  cmd_queue,
	  "[POOL]",
	  0,
	  1,
	  false,
	  "who waits, and why",
	  "Shows who waits for a slot, the next one first.",
	  { NULL } },
	{ "events",
	  DIAGNOSIS,
	  cmd_events,
	  "",
	  0,
	  0,
	  false,
	  "the history",
	  "Prints what happened, in order; with --json one document, with --follow as well one a "
	  "line.",
	  { events_options } },
	{ "ping",
	  DIAGNOSIS,
	  cmd_ping,
	  "",
	  0,
	  0,
	  false,
	  "does slotd answer?",
	  "Asks the daemon for a sign of life.",
	  { NULL } },
	{ "ping health",
	  DIAGNOSIS,
	  cmd_ping_health,
	  "",
	  0,
	  0,
	  false,
	  "how slotd is doing",
	  "Shows what the daemon is busy with. Exit status 7 when something is stuck.",
	  { NULL } },
	{ "ping cleanup",
	  DIAGNOSIS,
	  cmd_ping_cleanup,
	  "",
	  0,
	  0,
	  false,
	  "clear what still waits for you",
	  "Refuses the acquires that still wait and were asked for from here, or by --agent. With --all "
	  "(operators): those whose asker is gone, and every delay before a next try.",
	  { cleanup_options } },
	{ "ping reset",
	  DIAGNOSIS,
	  cmd_ping_reset,
	  "",
	  0,
	  0,
	  false,
	  "take every slot back (operators)",
	  "Takes every slot of every pool back, also from live holders, and makes it ready again. What is "
	  "safe nowhere else is saved first; what cannot be saved isolates its slot. Asks first on a terminal, else needs --yes.",
	  { reset_options } },
	{ "stats",
	  DIAGNOSIS,
	  cmd_stats,
	  "",
	  0,
	  0,
	  false,
	  "what has happened to leases",
	  "Counts the leases by how they are, and what has happened to leases since the ledger was made.",
	  { NULL } },
	{ "help",
	  DIAGNOSIS,
	  cmd_help,
	  "[COMMAND]",
	  0,
	  2,
	  false,
	  "explain a command",
	  "Shows what a command does and its options.",
	  { NULL } },
	{ "version",
	  DIAGNOSIS,
	  cmd_version,
	  "",
	  0,
	  0,
	  false,
	  "versions of slotctl and slotd",
	  "Shows the version of slotctl, and of slotd when it can be reached.",
	  { NULL } },
	END,
};

const char *command_group_title(enum command_group group)
{
	static const char *const titles[COMMAND_GROUPS] = { "Agents", "Operators", "Diagnosis" };

	return titles[group];
}

/* is the name "first second", or "first" when second is NULL? */
static bool name_is(const char *name, const char *first, const char *second)
{
	size_t len = strlen(first);

	if (strncmp(name, first, len) != 0)
		return false;
	return second ? name[len] == ' ' && strcmp(name + len + 1, second) == 0 : name[len] == '\0';
}

const struct command *command_find(const char *first, const char *second)
{
	for (const struct command *c = commands; c->name; c++)
		if (name_is(c->name, first, second))
			return c;
	return NULL;
}

bool command_is_family(const char *first)
{
	size_t len = strlen(first);

	for (const struct command *c = commands; c->name; c++)
		if (strncmp(c->name, first, len) == 0 && c->name[len] == ' ')
			return true;
	return false;
}

#define MAX_CANDIDATES 64

const char *command_nearest(const char *first, const char *word)
{
	static char words[MAX_CANDIDATES][32];
	const char *candidates[MAX_CANDIDATES];
	size_t n = 0;

	for (const struct command *c = commands; c->name && n < MAX_CANDIDATES; c++) {
		const char *space = strchr(c->name, ' '), *from = c->name;
		size_t len = space ? (size_t)(space - c->name) : strlen(c->name);

		if (first) {
			if (!space || strncmp(c->name, first, len) != 0 || first[len])
				continue;
			from = space + 1;
			len = strlen(from);
		}
		if (len >= sizeof(words[0]))
			continue;
		memcpy(words[n], from, len);
		words[n][len] = '\0';
		candidates[n] = words[n];
		n++;
	}
	return text_nearest(word, candidates, n);
}

const struct option *command_find_option(const struct command *c, const char *name, size_t len)
{
	const struct option *o = option_find(global_options, name, len);

	for (size_t i = 0; !o && c && i < ARRAY_SIZE(c->options); i++)
		o = option_find(c->options[i], name, len);
	return o;
}

const struct option *command_find_letter(const struct command *c, char letter)
{
	const struct option *o = option_find_letter(global_options, letter);

	for (size_t i = 0; !o && c && i < ARRAY_SIZE(c->options); i++)
		o = option_find_letter(c->options[i], letter);
	return o;
}

static size_t collect_names(const struct option *table, const char **ret, size_t n)
{
	for (const struct option *o = table; o && o->name && n < MAX_CANDIDATES; o++)
		ret[n++] = o->name;
	return n;
}

const char *command_nearest_option(const struct command *c, const char *name)
{
	const char *candidates[MAX_CANDIDATES];
	size_t n = collect_names(global_options, candidates, 0);

	for (size_t i = 0; c && i < ARRAY_SIZE(c->options); i++)
		n = collect_names(c->options[i], candidates, n);
	return text_nearest(name, candidates, n);
}
