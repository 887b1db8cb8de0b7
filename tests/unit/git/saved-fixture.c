/* The saver, as simple as can be: it takes stat data and believes that somebody has the rest. */
#include "saved-fixture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "git/sha1.h"
#include "git/tree-descent.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

struct tree_saved *slot_saved;
int beside_fd = -1;
static struct text before; /* hex names of contents, each with a newline */

void saved_open(void)
{
	slot_saved = tree_saved_new();
	beside_fd = open(fixture_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert(slot_saved && beside_fd >= 0);
}

void saved_close(void)
{
	tree_saved_free(slot_saved);
	slot_saved = NULL;
	if (beside_fd >= 0)
		close(beside_fd);
	beside_fd = -1;
	text_deinit(&before);
	before = (struct text){ 0 };
}

static int add(enum tree_descent_event event, const struct tree_descent_item *item, void *userdata)
{
	(void)userdata;
	if (strcmp(item->path, ".git") == 0 || event != TREE_DESCENT_FILE)
		return TREE_DESCENT_GO_ON;
	return tree_saved_add(slot_saved, item->path, &item->st);
}

void save_all(void)
{
	cr_assert_eq(tree_descent(slot.slot_fd, "", true, add, NULL, &slot_fault), 0, "%s",
		     slot_fault.text);
}

void save(const char *path)
{
	struct stat st;

	cr_assert_eq(fstatat(slot.slot_fd, path, &st, AT_SYMLINK_NOFOLLOW), 0, "%s", path);
	cr_assert_eq(tree_saved_add(slot_saved, path, &st), 0);
}

int reset_saved(const char *rev, const struct tree_reset_options *more)
{
	struct tree_reset_options options = more ? *more : (struct tree_reset_options){ 0 };
	git_oid commit = commit_of(rev);
	struct tree_stats stats;

	options.saved = slot_saved;
	options.trash_dir_fd = beside_fd;
	options.trash = TRASH;
	options.threads = 2;
	slot_fault.text[0] = '\0';
	return tree_reset(&slot, &commit, &options, &stats, &slot_fault);
}

/* --- what was there --- */

static int hash(enum tree_descent_event event, const struct tree_descent_item *item, void *userdata)
{
	_cleanup_(freep) char *data = NULL;
	size_t len = 0;
	git_oid oid;

	if (event == TREE_DESCENT_ENTER && strcmp(item->path, ".git") == 0)
		return TREE_DESCENT_SKIP;
	if (event != TREE_DESCENT_FILE || strcmp(item->path, ".git") == 0)
		return TREE_DESCENT_GO_ON;
	if (S_ISLNK(item->st.st_mode)) {
		data = calloc(1, PATH_MAX);
		len = (size_t)readlinkat(item->dir_fd, item->name, data, PATH_MAX);
	} else if (!S_ISREG(item->st.st_mode)) {
		return TREE_DESCENT_GO_ON;
	} else {
		cr_assert_eq(fs_read_file_at(item->dir_fd, item->name, 1 << 20, &data, &len), 0,
			     "%s", item->path);
	}
	cr_assert_eq(sha1_object(GIT_OBJECT_BLOB, data, len, &oid), 0);
	text_addf(userdata, "%s\n", git_oid_tostr_s(&oid));
	return TREE_DESCENT_GO_ON;
}

static void hash_all(struct text *ret)
{
	text_deinit(ret);
	*ret = (struct text){ 0 };
	text_add_string(ret, "");
	cr_assert_eq(tree_descent(slot.slot_fd, "", true, hash, ret, &slot_fault), 0, "%s",
		     slot_fault.text);
}

void remember(void)
{
	hash_all(&before);
}

char *lost(void)
{
	_cleanup_(text_deinit) struct text now = { 0 }, gone = { 0 };
	_cleanup_(freep) char *copy = strdup(before.data);
	char *save_ptr = NULL;

	hash_all(&now);
	for (char *hex = strtok_r(copy, "\n", &save_ptr); hex;
	     hex = strtok_r(NULL, "\n", &save_ptr))
		if (!strstr(now.data, hex))
			text_addf(&gone, "%s\n", hex);
	if (gone.len == 0)
		return fixture_keep(strdup(""));
	return sh_text("printf '%%s' '%s' | git -C r cat-file --batch-check | grep missing; true",
		       gone.data);
}
