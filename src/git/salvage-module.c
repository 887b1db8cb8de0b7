/* The same name in two places. */
#include "git/salvage-module.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "git/blob-stream.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/parse.h"

#define TEXT_BYTES (64 << 10)

/* the slot that it was saved of, when that is another one; NULL: nothing has to be changed */
static const char *other_slot(struct salvage *s, const char *slot)
{
	const char *was = json_get_string(s->meta, "slot");
	size_t len;
	uint64_t n;

	return was && parse_slot_name(was, &len, &n) == 0 && strcmp(was, slot) != 0 ? was : NULL;
}

static void odb_object_freep(git_odb_object **o)
{
	git_odb_object_free(*o);
}

/* @text with each @from as @to; how many there were */
static size_t replace(const char *text, size_t len, const char *from, const char *to,
		      struct text *ret)
{
	size_t n = 0;

	while (len > 0) {
		const char *at = memmem(text, len, from, strlen(from));
		size_t before = at ? (size_t)(at - text) : len;

		text_add(ret, text, before);
		text += before;
		len -= before;
		if (at) {
			text_add_string(ret, to);
			text += strlen(from);
			len -= strlen(from);
			n++;
		}
	}
	return n;
}

/* the same, but only in lines that set a key */
static size_t replace_value(const char *text, size_t len, const char *key, const char *from, const char *to,
			    struct text *ret)
{
	size_t n = 0;

	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) + 1 : len, blank = 0;

		while (blank < line && (text[blank] == ' ' || text[blank] == '\t'))
			blank++;
		if (line - blank > strlen(key) && strncasecmp(text + blank, key, strlen(key)) == 0)
			n += replace(text, line, from, to, ret);
		else
			text_add(ret, text, line);
		text += line;
		len -= line;
	}
	return n;
}

/* @key: only where this is set; NULL: everywhere */
static int replace_in(struct repo *repo, git_oid *oid, const char *key, const char *from, const char *to,
		      struct fault *f)
{
	_cleanup_(odb_object_freep) git_odb_object *o = NULL;
	_cleanup_(text_deinit) struct text t = { 0 };
	uint64_t size;
	int rc, r = blob_size(repo, oid, &size, f);

	if (r < 0 || size == 0 || size > TEXT_BYTES)
		return r;
	rc = git_odb_read(&o, repo_odb(repo), oid);
	if (rc < 0)
		return git_fault(f, rc, "the blob %s cannot be read", git_oid_tostr_s(oid));
	if ((key ? replace_value(git_odb_object_data(o), git_odb_object_size(o), key, from, to, &t) :
		   replace(git_odb_object_data(o), git_odb_object_size(o), from, to, &t)) == 0)
		return 0;
	if (t.failed)
		return fault_oom(f);
	rc = git_odb_write(oid, repo_odb(repo), t.data, t.len, GIT_OBJECT_BLOB);
	return rc < 0 ? git_fault(f, rc, "cannot write a blob") : 0;
}

static bool is_gitfile(const struct tree_entry *e)
{
	return e->mode == TREE_MODE_FILE && e->path_len > strlen("/.git") &&
	       strcmp(e->path + e->path_len - strlen("/.git"), "/.git") == 0;
}

int salvage_module_gitfiles(struct salvage *s, struct salvage_goal *goal, const char *slot,
			    struct fault *f)
{
	const char *was = other_slot(s, slot);
	_cleanup_(freep) char *from = was ? text_printf("/worktrees/slotd-%s/modules/", was) : NULL;
	_cleanup_(freep) char *to = was ? text_printf("/worktrees/slotd-%s/modules/", slot) : NULL;
	int r = 0;

	if (was && (!from || !to))
		return fault_oom(f);
	for (size_t i = 0; was && r == 0 && i < goal->files.n; i++)
		if (is_gitfile(&goal->files.entries[i]))
			r = replace_in(s->repo, &goal->files.entries[i].oid, NULL, from, to, f);
	return r;
}

/* "worktree = ../../../../slots/p/p-1/sub" */
int salvage_module_file(struct salvage *s, const char *path, const char *slot, git_oid *oid,
			struct fault *f)
{
	const char *was = other_slot(s, slot), *name = strrchr(path, '/');
	_cleanup_(freep) char *from = was ? text_printf("/%s/", was) : NULL;
	_cleanup_(freep) char *to = was ? text_printf("/%s/", slot) : NULL;

	if (!was || !name || strcmp(name, "/config") != 0)
		return 0;
	return from && to ? replace_in(s->repo, oid, "worktree", from, to, f) : fault_oom(f);
}
