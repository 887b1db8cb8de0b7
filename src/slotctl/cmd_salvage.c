/* slotctl salvage: what was saved, and getting it back. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "slotctl/cli.h"
#include "slotctl/job.h"
#include "slotctl/out.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/parse.h"
#include "util/text.h"

static json_object *id_params(struct cli *cli)
{
	return json_set_string(json_object_new_object(), "id", cli_word(cli, 0));
}

/* --- list --- */

static void add_entry(struct table *t, json_object *e)
{
	_cleanup_(freep) char *taken = out_ago(json_get_int(e, "takenAtUsec", -1));
	char size[SIZE_TEXT_SIZE];

	table_add(t, json_get_string(e, "id"));
	table_add(t, taken);
	table_add(t, json_get_string(e, "agent"));
	table_add(t, json_get_string(e, "task"));
	table_add(t, format_size((uint64_t)json_get_int(e, "bytes", 0), size));
	table_add(t, json_get_string(e, "summary"));
}

enum exit_status cmd_salvage_list(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	_cleanup_(table_deinit) struct table t = { 0 };
	enum exit_status status = cli_call_pool_list(cli, "SalvageList", "salvage", &reply);
	json_object *list;

	if (status != EXIT_STATUS_DONE || cli_print_json(cli, reply))
		return status;
	list = json_get_array(reply, "salvage");
	table_init(&t, "ID TAKEN AGENT TASK >SIZE SUMMARY");
	for (size_t i = 0; i < json_object_array_length(list); i++)
		add_entry(&t, json_object_array_get_idx(list, i));
	table_print(&t, stdout);
	if (json_object_array_length(list) == 0)
		puts("nothing is saved; what a slot holds is saved when its lease ends");
	else
		puts("what is in one, and how to get it back: slotctl salvage show ID");
	return EXIT_STATUS_DONE;
}

/* --- show --- */

static void print_lines(const char *text)
{
	while (text && *text) {
		size_t len = strcspn(text, "\n");

		out_line(stdout, OUT_PLAIN, "%.*s", (int)len, text);
		text += len;
		text += *text == '\n';
	}
}

static void print_whose(json_object *e)
{
	_cleanup_(freep) char *when = out_time(json_get_int(e, "takenAtUsec", -1));
	_cleanup_(freep) char *ago = out_ago(json_get_int(e, "takenAtUsec", -1));
	const char *lease = json_get_string(e, "lease");
	char size[SIZE_TEXT_SIZE];

	out_line(stdout, OUT_PLAIN, "  saved    %s (%s)", when, ago);
	out_line(stdout, OUT_PLAIN, "  slot     %s", out_field(e, "slot"));
	if (lease)
		out_line(stdout, OUT_PLAIN, "  lease    %s", lease);
	if (json_get_string(e, "agent"))
		out_line(stdout, OUT_PLAIN, "  agent    %s", out_field(e, "agent"));
	if (json_get_string(e, "task"))
		out_line(stdout, OUT_PLAIN, "  task     %s", out_field(e, "task"));
	out_line(stdout, OUT_PLAIN, "  commit   %s, %s", out_field(e, "commit"),
		 format_size((uint64_t)json_get_int(e, "bytes", 0), size));
}

static void print_from(json_object *reply)
{
	const char *branch = json_get_string(reply, "branch");

	out_line(stdout, OUT_PLAIN, "  on       %s%s%.12s", branch ? branch : "",
		 branch ? " at " : "", out_field(reply, "base"));
}

/* whatever is typed next can be copied from here */
static void print_what_next(const char *id)
{
	out_line(stdout, OUT_PLAIN,
		 "into your own slot, with index and all:  slotctl salvage restore %s", id);
	out_line(stdout, OUT_PLAIN,
		 "into a new directory:                    slotctl salvage restore %s --to DIR",
		 id);
	out_line(
		stdout, OUT_PLAIN,
		"as a commit on a new branch:             slotctl salvage restore %s --branch NAME",
		id);
	out_line(stdout, OUT_PLAIN,
		 "not needed any more:                     slotctl salvage drop %s", id);
}

static void print_shown(json_object *reply)
{
	json_object *e = json_get_object(reply, "entry"),
		    *details = json_get_array(reply, "details");

	out_line(stdout, OUT_BOLD, "%s: %s", out_field(e, "id"), out_field(e, "summary"));
	print_whose(e);
	print_from(reply);
	for (size_t i = 0; details && i < json_object_array_length(details); i++)
		out_line(stdout, OUT_PLAIN, "  %s",
			 json_object_get_string(json_object_array_get_idx(details, i)));
	puts("");
	print_lines(json_get_string(reply, "diffstat"));
	if (json_get_string(reply, "diffstat") && *json_get_string(reply, "diffstat"))
		puts("");
	print_what_next(out_field(e, "id"));
}

enum exit_status cmd_salvage_show(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = cli_connect(cli, false);

	if (status == EXIT_STATUS_DONE)
		status = cli_call(cli, "SalvageShow", id_params(cli), &reply);
	if (status == EXIT_STATUS_DONE && !cli_print_json(cli, reply))
		print_shown(reply);
	return status;
}

/* --- drop --- */

enum exit_status cmd_salvage_drop(struct cli *cli)
{
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = cli_connect(cli, false);

	if (status == EXIT_STATUS_DONE)
		status = cli_call(cli, "SalvageDrop", id_params(cli), &reply);
	if (status == EXIT_STATUS_DONE && !cli_print_json(cli, reply) && !cli->quiet)
		out_line(stdout, OUT_PLAIN, "slotctl: %s was dropped", out_field(reply, "id"));
	return status;
}

/* --- restore: onto a branch --- */

static enum exit_status restore_branch(struct cli *cli, const char *branch)
{
	json_object *params = json_set_string(id_params(cli), "branch", branch);
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status = cli_call(cli, "SalvageBranch", params, &reply);

	if (status == EXIT_STATUS_DONE && !cli_print_json(cli, reply) && !cli->quiet)
		out_line(stdout, OUT_PLAIN, "slotctl: the branch %s is at %.12s",
			 out_field(reply, "branch"), out_field(reply, "commit"));
	return status;
}

/* --- restore: into a directory --- */

/* an empty one of the caller's, or a new one; no link */
static int open_directory(const char *path, bool *ret_made)
{
	int fd;

	*ret_made = mkdir(path, 0777) == 0;
	if (!*ret_made && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static enum exit_status restore_into(struct cli *cli, json_object *shown, const char *path)
{
	json_object *entry = json_get_object(shown, "entry"), *params;
	_cleanup_json_ json_object *reply = NULL;
	_cleanup_(freep) char *absolute = NULL;
	_cleanup_(closep) int fd = -1;
	enum exit_status status;
	bool made = false;

	fd = open_directory(path, &made);
	if (fd < 0)
		return cli_fail(cli, EXIT_STATUS_FAILED, "cannot restore into %s: %s", path,
				fd == -ELOOP ? "it is a link" : strerror(-fd));
	absolute = realpath(path, NULL);
	if (!absolute)
		return cli_fail(cli, EXIT_STATUS_FAILED, "cannot restore into %s: %s", path,
				strerror(errno));
	params = json_set_string(json_object_new_object(), "commit",
				 json_get_string(entry, "commit"));
	status = job_run(cli, json_get_string(shown, "store"), absolute, "SalvageRestoreDir",
			 params, &reply);
	if (status != EXIT_STATUS_DONE) {
		/* what was written stays: it may be what somebody needs */
		if (made && rmdir(absolute) < 0)
			cli_warn("a part of it is in %s", absolute);
		return status;
	}
	json_set_string(reply, "id", json_get_string(entry, "id"));
	json_set_path(reply, "path", absolute);
	if (!cli_print_json(cli, reply) && !cli->quiet)
		out_line(stdout, OUT_PLAIN, "slotctl: %s is in %s (%lld files)",
			 out_field(entry, "id"), absolute,
			 (long long)json_get_int(reply, "files", 0));
	return EXIT_STATUS_DONE;
}

/* --- restore: into the caller's own slot --- */

static bool is_below(const char *path, const char *top)
{
	size_t len = strlen(top);

	return strncmp(path, top, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* the slot of SLOT_LEASE, else the one that we are in; borrowed from the list */
static json_object *find_own(json_object *slots, const char *lease, const char *cwd)
{
	for (size_t i = 0; i < json_object_array_length(slots); i++) {
		json_object *s = json_object_array_get_idx(slots, i);
		const char *path = json_get_string(s, "path");

		if (lease ? text_is_equal(json_get_string(s, "lease"), lease)
			  : cwd && path && is_below(cwd, path))
			return s;
	}
	return NULL;
}

static enum exit_status refuse_slot(struct cli *cli, const char *pool, const char *lease)
{
	if (lease)
		return cli_fail(cli, EXIT_STATUS_GONE,
				"the lease in SLOT_LEASE has no slot of pool %s: give --to DIR or "
				"--branch NAME",
				pool);
	return cli_fail(
		cli, EXIT_STATUS_ABSENT,
		"this is no slot of pool %s: go into one that you have leased, or give --to DIR or "
		"--branch NAME",
		pool);
}

static void print_restored(json_object *entry, json_object *reply)
{
	json_object *notes = json_get_array(reply, "notes");
	const char *branch = json_get_string(reply, "branch"),
		   *head = json_get_string(reply, "head");

	out_line(stdout, OUT_PLAIN, "slotctl: %s is in %s, on %s%s%.12s", out_field(entry, "id"),
		 out_field(reply, "slot"), branch ? branch : "", branch && head ? " at " : "",
		 head ? head : "");
	for (size_t i = 0; notes && i < json_object_array_length(notes); i++)
		out_line(stdout, OUT_YELLOW, "slotctl: %s",
			 json_object_get_string(json_object_array_get_idx(notes, i)));
	out_line(stdout, OUT_PLAIN, "slotctl: it stays saved: slotctl salvage drop %s",
		 out_field(entry, "id"));
}

static enum exit_status restore_in(struct cli *cli, json_object *shown, json_object *slot)
{
	json_object *entry = json_get_object(shown, "entry"), *params = json_object_new_object();
	const char *name = json_get_string(slot, "slot"), *path = json_get_string(slot, "path");
	_cleanup_(freep) char *slots = path ? strdup(path) : NULL;
	_cleanup_json_ json_object *reply = NULL;
	enum exit_status status;
	char *slash = slots ? strrchr(slots, '/') : NULL;

	if (slash && slash > slots)
		*slash = '\0';
	json_set_string(params, "slot", name);
	json_set_int(params, "dev", 0);
	json_set_int(params, "ino", 0);
	json_set_string(params, "commit", json_get_string(entry, "commit"));
	json_set(params, "keep", json_object_get(json_get_array(shown, "keep")));
	status = job_run(cli, json_get_string(shown, "store"), slots ? slots : "/",
			 "SalvageRestoreSlot", params, &reply);
	if (status != EXIT_STATUS_DONE)
		return status;
	json_set_string(reply, "id", json_get_string(entry, "id"));
	json_set_string(reply, "slot", name);
	json_set_path(reply, "path", path);
	if (!cli_print_json(cli, reply) && !cli->quiet)
		print_restored(entry, reply);
	return EXIT_STATUS_DONE;
}

static enum exit_status restore_here(struct cli *cli, json_object *shown)
{
	const char *pool = json_get_string(json_get_object(shown, "entry"), "pool"),
		   *lease = getenv("SLOT_LEASE");
	json_object *params = json_set_string(json_object_new_object(), "pool", pool), *slot;
	_cleanup_json_ json_object *reply = NULL;
	_cleanup_(freep) char *cwd = getcwd(NULL, 0);
	enum exit_status status = cli_call_list(cli, "Slots", params, "slots", &reply);

	if (status != EXIT_STATUS_DONE)
		return status;
	lease = lease && *lease ? lease : NULL;
	slot = find_own(json_get_array(reply, "slots"), lease, cwd);
	if (!slot)
		return refuse_slot(cli, pool ? pool : "?", lease);
	if (!text_is_equal(json_get_string(slot, "state"), "leased"))
		return cli_fail(cli, EXIT_STATUS_FAILED,
				"%s is not leased: restore into a slot that you have",
				out_field(slot, "slot"));
	return restore_in(cli, shown, slot);
}

enum exit_status cmd_salvage_restore(struct cli *cli)
{
	const char *to = cli_string(cli, "to"), *branch = cli_string(cli, "branch");
	_cleanup_json_ json_object *shown = NULL;
	enum exit_status status;

	if (to && branch)
		return cli_fail(cli, EXIT_STATUS_USAGE, "--to and --branch exclude each other");
	status = cli_connect(cli, false);
	if (status != EXIT_STATUS_DONE)
		return status;
	if (branch)
		return restore_branch(cli, branch);
	status = cli_call(cli, "SalvageShow", id_params(cli), &shown);
	if (status != EXIT_STATUS_DONE)
		return status;
	return to ? restore_into(cli, shown, to) : restore_here(cli, shown);
}
