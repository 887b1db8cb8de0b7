/* The command line, read once from left to right. */
#include "slotctl/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/json.h"

/* where reading stands */
struct reader {
	struct cli *cli;
	char **argv;
	int argc, at;
	const char *first; /* of a command of two words, the second not yet seen */
};

static int take_first_word(struct reader *r, const char *word, struct fault *f)
{
	const char *near;

	r->cli->command = command_find(word, NULL);
	if (command_is_family(word))
		r->first = word;
	if (r->cli->command || r->first)
		return 0;
	near = command_nearest(NULL, word);
	return near ? fault(f, -EINVAL, "there is no command '%s'; did you mean '%s'?", word, near)
		    : fault(f, -EINVAL, "there is no command '%s'; see 'slotctl help'", word);
}

static int take_second_word(struct reader *r, const char *word, bool *ret_taken, struct fault *f)
{
	const struct command *c = command_find(r->first, word);
	const char *near = command_nearest(r->first, word), *first = r->first;

	*ret_taken = c != NULL;
	if (c) {
		r->cli->command = c;
		r->first = NULL;
		return 0;
	}
	if (r->cli->command && r->cli->command->max_operands > 0)
		return 0;
	return near ? fault(f, -EINVAL, "there is no command '%s %s'; did you mean '%s %s'?", first,
			    word, first, near)
		    : fault(f, -EINVAL, "there is no command '%s %s'; see 'slotctl help %s'", first,
			    word, first);
}

static int take_word(struct reader *r, const char *word, struct fault *f)
{
	struct cli *cli = r->cli;
	bool taken = false;
	int rc;

	if (!cli->command && !r->first)
		return take_first_word(r, word, f);
	if (r->first && cli->n_words == 0) {
		rc = take_second_word(r, word, &taken, f);
		if (rc < 0 || taken)
			return rc;
	}
	cli->words[cli->n_words++] = word;
	return 0;
}

static int unknown_option(const struct cli *cli, const char *dashes, const char *name, size_t len,
			  struct fault *f)
{
	_cleanup_(freep) char *copy = strndup(name, len);
	const char *near = copy ? command_nearest_option(cli->command, copy) : NULL;

	if (!copy)
		return fault_oom(f);
	if (near && len > 1)
		return fault(f, -EINVAL, "there is no option %s%s; did you mean --%s?", dashes,
			     copy, near);
	if (!cli->command)
		return fault(f, -EINVAL,
			     "there is no option %s%s; a command's options come after it", dashes,
			     copy);
	return fault(f, -EINVAL, "there is no option %s%s; see 'slotctl help %s'", dashes, copy,
		     cli->command->name);
}

static int store(struct cli *cli, const struct option *o, const char *value, struct fault *f)
{
	int r;

	if (value && !*value && o->kind != OPTION_STRING)
		return fault(f, -EINVAL, "--%s wants a value, not an empty one", o->name);
	r = option_store(o, value, cli->fields, cli->own, f);
	if (r < 0)
		return r;
	cli->json = cli_flag(cli, "json");
	cli->quiet = cli_flag(cli, "quiet");
	cli->verbose = cli_flag(cli, "verbose");
	cli->want_help = cli_flag(cli, "help");
	cli->want_version = cli_flag(cli, "version");
	cli->timeout_usec = (uint64_t)cli_int(cli, "timeout", 0);
	return 0;
}

/* the value of an option: what is attached, else the next word */
static int find_value(struct reader *r, const struct option *o, const char *attached,
		      const char **ret, struct fault *f)
{
	if (!o->value) {
		*ret = NULL;
		return attached ? fault(f, -EINVAL, "--%s takes no value", o->name) : 0;
	}
	if (!attached && r->at + 1 >= r->argc)
		return fault(f, -EINVAL, "--%s wants a value: --%s %s", o->name, o->name, o->value);
	*ret = attached ? attached : r->argv[++r->at];
	return 0;
}

static int take_long(struct reader *r, const char *name, struct fault *f)
{
	const char *equals = strchr(name, '='), *value = NULL;
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const struct option *o = command_find_option(r->cli->command, name, len);
	int rc;

	if (!o)
		return unknown_option(r->cli, "--", name, len, f);
	rc = find_value(r, o, equals ? equals + 1 : NULL, &value, f);
	return rc < 0 ? rc : store(r->cli, o, value, f);
}

static int take_letters(struct reader *r, const char *letters, struct fault *f)
{
	for (const char *p = letters; *p; p++) {
		const struct option *o = command_find_letter(r->cli->command, *p);
		const char *value = NULL;
		int rc;

		if (!o)
			return unknown_option(r->cli, "-", p, 1, f);
		rc = find_value(r, o, o->value && p[1] ? p + 1 : NULL, &value, f);
		if (rc == 0)
			rc = store(r->cli, o, value, f);
		if (rc < 0 || o->value)
			return rc;
	}
	return 0;
}

/* what follows "--" */
static int take_rest(struct reader *r, struct fault *f)
{
	struct cli *cli = r->cli;
	int rc = 0;

	if (cli->command && cli->command->takes_rest) {
		cli->rest = r->argv + r->at;
		cli->n_rest = (size_t)(r->argc - r->at);
		cli->has_rest = true;
		return 0;
	}
	for (; r->at < r->argc && rc == 0; r->at++)
		rc = take_word(r, r->argv[r->at], f);
	return rc;
}

static int check_words(const struct cli *cli, const char *first, struct fault *f)
{
	const struct command *c = cli->command;

	if (cli->want_help || cli->want_version)
		return 0;
	if (!c && first)
		return fault(f, -EINVAL, "'%s' is not a whole command; see 'slotctl help %s'",
			     first, first);
	if (!c)
		return fault(f, -EINVAL, "a command is missing; see 'slotctl help'");
	if (cli->n_words < c->min_operands)
		return fault(f, -EINVAL, "usage: slotctl %s %s", c->name, c->operands);
	if (cli->n_words > c->max_operands && c->takes_rest)
		return fault(f, -EINVAL, "'%s' is one too many: put the command behind '--'",
			     cli->words[c->max_operands]);
	if (cli->n_words > c->max_operands)
		return fault(f, -EINVAL, "'%s' is one too many; usage: slotctl %s%s%s",
			     cli->words[c->max_operands], c->name, *c->operands ? " " : "",
			     c->operands);
	if (cli_flag(cli, "system") + cli_flag(cli, "user") + (cli_string(cli, "socket") != NULL) >
	    1)
		return fault(f, -EINVAL, "--socket, --system and --user exclude one another");
	return 0;
}

static int read_all(struct reader *r, struct fault *f)
{
	int rc = 0;

	for (; r->at < r->argc && rc == 0; r->at++) {
		const char *word = r->argv[r->at];

		if (strcmp(word, "--") == 0) {
			r->at++;
			return take_rest(r, f);
		}
		if (word[0] == '-' && word[1] == '-')
			rc = take_long(r, word + 2, f);
		else if (word[0] == '-' && word[1])
			rc = take_letters(r, word + 1, f);
		else
			rc = take_word(r, word, f);
	}
	return rc;
}

int cli_parse(struct cli *cli, int argc, char **argv, struct fault *f)
{
	struct reader r = { .cli = cli, .argv = argv, .argc = argc, .at = 1 };
	int rc;

	*cli = (struct cli){ .fields = json_object_new_object(), .own = json_object_new_object() };
	cli->words = calloc((size_t)argc + 1, sizeof(*cli->words));
	if (!cli->fields || !cli->own || !cli->words)
		return fault_oom(f);

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			cli->json = true; /* also for what goes wrong before it is reached */
	rc = read_all(&r, f);
	cli->family = r.first;
	if (rc < 0)
		return cli->want_help ? 0 : rc;
	return check_words(cli, cli->command ? NULL : r.first, f);
}

bool cli_flag(const struct cli *cli, const char *name)
{
	return json_get_bool(cli->own, name, false);
}

const char *cli_string(const struct cli *cli, const char *name)
{
	return json_get_string(cli->own, name);
}

int64_t cli_int(const struct cli *cli, const char *name, int64_t fallback)
{
	return json_get_int(cli->own, name, fallback);
}

const char *cli_word(const struct cli *cli, size_t i)
{
	return i < cli->n_words ? cli->words[i] : NULL;
}
