/* Nothing in it is believed before it was looked at. */
#include "git/salvage-read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "git/salvage-path.h"
#include "git/tree-list.h"
#include "git/tree-object.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/parse.h"
#include "util/text.h"

#define COMMIT_BYTES	 (64 << 20) /* the state has as many parents as commits were left behind */
#define HEAD_BYTES    4096
#define RECORDS_BYTES (256 << 20)
#define META_DEPTH    8
#define MAX_DEPTH     4096

static void odb_object_freep(git_odb_object **o)
{
	git_odb_object_free(*o);
}

/* --- the ref --- */

static bool is_hex(const char *s, size_t len)
{
	return strspn(s, "0123456789abcdef") >= len;
}

int salvage_name_parse(const char *ref, struct salvage_name *ret)
{
	struct salvage_name name = { 0 };
	const char *slot, *lease, *number;
	size_t pool_len;
	uint64_t n;
	int64_t value;

	if (!text_has_prefix(ref, SALVAGE_REFS))
		return -EINVAL;
	slot = ref + strlen(SALVAGE_REFS);
	lease = strchr(slot, '/');
	number = lease ? strchr(lease + 1, '/') : NULL;
	if (!number || (size_t)(lease - slot) >= sizeof(name.slot) ||
	    number - (lease + 1) != SALVAGE_LEASE_DIGITS ||
	    !is_hex(lease + 1, SALVAGE_LEASE_DIGITS))
		return -EINVAL;
	memcpy(name.slot, slot, (size_t)(lease - slot));
	memcpy(name.lease, lease + 1, SALVAGE_LEASE_DIGITS);
	if (number[1] < '1' || number[1] > '9' || parse_int(number + 1, &value) < 0 ||
	    parse_slot_name(name.slot, &pool_len, &n) < 0)
		return -EINVAL;
	name.n = (uint64_t)value;
	*ret = name;
	return 0;
}

int salvage_foreach_ref(struct repo *repo,
			int (*fn)(const char *ref, const struct salvage_name *name,
				  const git_oid *commit, void *userdata, struct fault *f),
			void *userdata, struct fault *f)
{
	git_reference_iterator *it = NULL;
	git_reference *ref = NULL;
	int rc, r = 0;

	rc = git_reference_iterator_glob_new(&it, repo_git(repo), SALVAGE_REFS "*");
	while (r >= 0 && rc == 0 && (rc = git_reference_next(&ref, it)) == 0) {
		const git_oid *commit = git_reference_target(ref);
		struct salvage_name name;

		if (commit && salvage_name_parse(git_reference_name(ref), &name) == 0)
			r = fn(git_reference_name(ref), &name, commit, userdata, f);
		git_reference_free(ref);
	}
	git_reference_iterator_free(it);
	if (r >= 0 && rc != 0 && rc != GIT_ITEROVER)
		return git_fault(f, rc, "cannot list the refs below %s", SALVAGE_REFS);
	return r < 0 ? r : 0;
}

/* --- objects --- */

/* its size is known before it is read */
static int read_object(struct repo *repo, const git_oid *oid, git_object_t type, size_t max,
		       const char *what, git_odb_object **ret, struct fault *f)
{
	char hex[GIT_OID_HEXSZ + 1];
	git_object_t is;
	size_t size;
	int rc;

	git_oid_tostr(hex, sizeof(hex), oid);
	rc = git_odb_read_header(&size, &is, repo_odb(repo), oid);
	if (rc == 0 && is != type)
		return fault(f, -EUCLEAN, "%s (%s) is no %s", what, hex,
			     git_object_type2string(type));
	if (rc == 0 && size > max)
		return fault(f, -EUCLEAN, "%s (%s) is too large: %zu bytes", what, hex, size);
	if (rc == 0)
		rc = git_odb_read(ret, repo_odb(repo), oid);
	if (rc == GIT_ENOTFOUND)
		return fault(f, -EUCLEAN, "%s (%s) is missing from the store", what, hex);
	return rc < 0 ? git_fault(f, rc, "%s (%s) cannot be read", what, hex) : 0;
}

static int read_commit(struct repo *repo, const git_oid *oid, const char *what, git_commit **ret,
		       struct fault *f)
{
	_cleanup_(odb_object_freep) git_odb_object *o = NULL;
	int r = read_object(repo, oid, GIT_OBJECT_COMMIT, COMMIT_BYTES, what, &o, f);
	int rc;

	if (r < 0)
		return r;
	rc = git_commit_lookup(ret, repo_git(repo), oid);
	return rc < 0 ? git_fault(f, rc, "%s cannot be read", what) : 0;
}

static int read_tree_id(struct repo *repo, const git_oid *commit, const char *what, git_oid *ret,
			struct fault *f)
{
	git_commit *c = NULL;
	int r = read_commit(repo, commit, what, &c, f);

	if (r == 0)
		*ret = *git_commit_tree_id(c);
	git_commit_free(c);
	return r;
}

/* W and its parents */
static int read_commits(struct salvage *s, struct fault *f)
{
	git_commit *c = NULL;
	int r = read_commit(s->repo, &s->commit, "the salvage", &c, f);

	if (r < 0)
		return r;
	if (git_commit_parentcount(c) != 3) {
		git_commit_free(c);
		return fault(f, -EUCLEAN, "%s is no salvage: it has not three parents",
			     git_oid_tostr_s(&s->commit));
	}
	s->base = *git_commit_parent_id(c, 0);
	s->index = *git_commit_parent_id(c, 1);
	s->state = *git_commit_parent_id(c, 2);
	s->tree = *git_commit_tree_id(c);
	s->time_usec = git_commit_time(c) < 0 ? 0 : (uint64_t)git_commit_time(c) * 1000000;
	s->message = strdup(git_commit_message(c));
	git_commit_free(c);
	if (!s->message)
		return fault_oom(f);
	text_mend_utf8(s->message);
	r = read_tree_id(s->repo, &s->base, "the commit that the salvage is based on",
			 &s->base_tree, f);
	if (r == 0)
		r = read_tree_id(s->repo, &s->index, "the commit of the index", &s->index_tree, f);
	return r < 0 ? r
		     : read_tree_id(s->repo, &s->state, "the commit of the state", &s->state_tree,
				    f);
}

/* an item at the top of X; -ENOENT without a sentence */
static int find_item(struct salvage *s, const char *name, bool is_dir, git_oid *ret,
		     struct fault *f)
{
	_cleanup_(tree_object_deinit) struct tree_object top = { 0 };
	int r = tree_object_load(s->repo, &s->state_tree, "", 0, &top, f);
	size_t at;

	if (r < 0)
		return r;
	at = tree_object_find(&top, name, strlen(name), is_dir);
	if (at == top.n)
		return -ENOENT;
	if (!is_dir && top.items[at].mode != TREE_MODE_FILE)
		return fault(f, -EUCLEAN, "%s in the salvage is no file", name);
	*ret = *tree_item_oid(&top.items[at]);
	return 0;
}

int salvage_part(struct salvage *s, const char *name, size_t max, git_odb_object **ret,
		 struct fault *f)
{
	_cleanup_(freep) char *what = text_printf("\"%s\" of the salvage", name);
	git_oid oid;
	int r = what ? find_item(s, name, false, &oid, f) : fault_oom(f);

	return r < 0 ? r : read_object(s->repo, &oid, GIT_OBJECT_BLOB, max, what, ret, f);
}

/* --- meta and head --- */

static void tokener_freep(json_tokener **t)
{
	if (*t)
		json_tokener_free(*t);
}

static json_object *parse_json(const char *text, size_t len)
{
	_cleanup_(tokener_freep) json_tokener *t = json_tokener_new_ex(META_DEPTH);
	json_object *o;

	if (!t)
		return NULL;
	json_tokener_set_flags(t, JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(t, text, (int)len);
	if (json_tokener_get_error(t) == json_tokener_success &&
	    json_object_is_type(o, json_type_object))
		return o;
	json_object_put(o);
	return NULL;
}

static int read_meta(struct salvage *s, struct fault *f)
{
	_cleanup_(odb_object_freep) git_odb_object *o = NULL;
	int64_t version;
	int r = salvage_part(s, "meta", SALVAGE_META_BYTES, &o, f);

	if (r == -ENOENT)
		return fault(f, -EUCLEAN, "%s is no salvage: it has no meta",
			     git_oid_tostr_s(&s->commit));
	if (r < 0)
		return r;
	s->meta = parse_json(git_odb_object_data(o), git_odb_object_size(o));
	if (!s->meta)
		return fault(f, -EUCLEAN, "the meta of the salvage %s is damaged",
			     git_oid_tostr_s(&s->commit));
	version = json_get_int(s->meta, "version", 0);
	if (version > SALVAGE_VERSION)
		return fault(f, -EOPNOTSUPP,
			     "the salvage %s was made by a newer slotd (version %lld of it)",
			     git_oid_tostr_s(&s->commit), (long long)version);
	return version == SALVAGE_VERSION
		       ? 0
		       : fault(f, -EUCLEAN, "the meta of the salvage %s has no version",
			       git_oid_tostr_s(&s->commit));
}

static int read_head(struct salvage *s, struct fault *f)
{
	_cleanup_(odb_object_freep) git_odb_object *o = NULL;
	int r = salvage_part(s, "head", HEAD_BYTES, &o, f);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (memchr(git_odb_object_data(o), '\0', git_odb_object_size(o)))
		return 0; /* no name of a ref, and no commit */
	s->head = strndup(git_odb_object_data(o), git_odb_object_size(o));
	if (!s->head)
		return fault_oom(f);
	s->head[strcspn(s->head, "\r\n")] = '\0';
	return 0;
}

int salvage_open(struct repo *repo, const git_oid *commit, struct salvage **ret, struct fault *f)
{
	_cleanup_(salvage_freep) struct salvage *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return fault_oom(f);
	s->repo = repo;
	s->commit = *commit;
	r = read_commits(s, f);
	if (r == 0)
		r = read_meta(s, f);
	if (r == 0)
		r = read_head(s, f);
	if (r < 0)
		return r;
	*ret = TAKE(s);
	return 0;
}

void salvage_free(struct salvage *s)
{
	if (!s)
		return;
	json_object_put(s->meta);
	free(s->message);
	free(s->head);
	free(s);
}

/* --- files --- */

bool salvage_path_is_safe(const char *path)
{
	if (strlen(path) > SALVAGE_MAX_PATH)
		return false;
	for (;; path++) {
		size_t len = strcspn(path, "/");

		if (len == 0 || len > 255 || strncmp(path, "..", len) == 0)
			return false;
		path += len;
		if (*path == '\0')
			return true;
	}
}

struct walk {
	struct salvage *s;
	const char *part;
	salvage_file_fn fn;
	void *userdata;
	size_t names; /* seen so far */
	struct fault *f;
};

static int bad_path(const struct walk *w, const char *escaped, const char *why)
{
	_cleanup_(freep) char *quoted = text_quote_path(escaped);

	return fault(w->f, -EUCLEAN, "the salvage has a path in \"%s\" that %s: \"%s\"", w->part,
		     why, quoted ? quoted : "?");
}

static int tell_file(struct walk *w, const char *escaped, uint32_t mode, const git_oid *oid)
{
	_cleanup_(freep) char *path = salvage_path_unescape(escaped);

	if (!path)
		return errno == EINVAL ? bad_path(w, escaped, "no salvage is made with")
				       : fault_oom(w->f);
	if (!salvage_path_is_safe(path))
		return bad_path(w, escaped, "may not be made");
	return w->fn(path, mode, oid, w->userdata, w->f);
}

static int walk_tree(struct walk *w, const git_oid *oid, const char *dir, unsigned depth);

static int walk_item(struct walk *w, const struct tree_item *item, const char *dir, unsigned depth)
{
	_cleanup_(freep) char *path = text_printf("%s%s%s", dir, *dir ? "/" : "", item->name);

	if (!path)
		return fault_oom(w->f);
	if (++w->names > SALVAGE_MAX_NAMES)
		return fault(w->f, -EUCLEAN, "the salvage has more than %d names in \"%s\"",
			     SALVAGE_MAX_NAMES, w->part);
	if (strlen(path) > SALVAGE_MAX_PATH)
		return fault(w->f, -EUCLEAN, "the salvage has a path in \"%s\" that is too long",
			     w->part);
	if (tree_item_is_dir(item))
		return walk_tree(w, tree_item_oid(item), path, depth + 1);
	return tell_file(w, path, item->mode, tree_item_oid(item));
}

static int walk_tree(struct walk *w, const git_oid *oid, const char *dir, unsigned depth)
{
	_cleanup_(tree_object_deinit) struct tree_object tree = { 0 };
	int r;

	if (depth > MAX_DEPTH)
		return fault(w->f, -EUCLEAN, "the salvage has a path in \"%s\" that is too deep",
			     w->part);
	r = tree_object_load(w->s->repo, oid, dir, strlen(dir), &tree, w->f);
	for (size_t i = 0; r >= 0 && i < tree.n; i++)
		r = walk_item(w, &tree.items[i], dir, depth);
	return r < 0 ? r : 0;
}

int salvage_foreach(struct salvage *s, const char *part, salvage_file_fn fn, void *userdata,
		    struct fault *f)
{
	struct walk w = { s, part, fn, userdata, 0, f };
	git_oid oid;
	int r = find_item(s, part, true, &oid, f);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return walk_tree(&w, &oid, "", 0);
}

/* --- records --- */

/* the number at the start of a record, and the path behind its space; -EINVAL: there is none */
static int parse_value(const char *record, uint32_t *ret, const char **ret_path)
{
	size_t digits = strspn(record, "01234567");

	if (digits != 6 || record[digits] != ' ')
		return -EINVAL;
	*ret = (uint32_t)strtoul(record, NULL, 8);
	*ret_path = record + digits + 1;
	return 0;
}

static int tell_record(const char *part, bool has_value, const char *record,
		       int (*fn)(uint32_t value, const char *path, void *userdata, struct fault *f),
		       void *userdata, struct fault *f)
{
	const char *path = record;
	uint32_t value = 0;

	if ((has_value && parse_value(record, &value, &path) < 0) || !salvage_path_is_safe(path))
		return fault(f, -EUCLEAN, "\"%s\" of the salvage is damaged", part);
	return fn(value, path, userdata, f);
}

int salvage_foreach_record(struct salvage *s, const char *part,
			   int (*fn)(uint32_t value, const char *path, void *userdata,
				     struct fault *f),
			   void *userdata, struct fault *f)
{
	_cleanup_(odb_object_freep) git_odb_object *o = NULL;
	bool has_value = strcmp(part, "modes") == 0;
	const char *at, *end;
	int r = salvage_part(s, part, RECORDS_BYTES, &o, f);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	at = git_odb_object_data(o);
	end = at + git_odb_object_size(o);
	while (r >= 0 && at < end) {
		const char *nul = memchr(at, '\0', (size_t)(end - at));

		if (!nul)
			return fault(f, -EUCLEAN, "\"%s\" of the salvage is cut off", part);
		r = tell_record(part, has_value, at, fn, userdata, f);
		at = nul + 1;
	}
	return r < 0 ? r : 0;
}
