/*
 * How long does a slot take? Not part of the suite; run by hand on a repository:
 *
 *	tree-bench create|reset|saved|sweep|switch COMMON_DIR SLOT_DIR ADMIN_DIR COMMIT THREADS [COMMIT2]
 *
 * prints milliseconds; "saved" is a reset by way of the trash, of changed files that count as saved. SLOT_DIR is a worktree (git worktree add --no-checkout --detach).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "git/tree-saved.h"
#include "git/tree.h"

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int on_change(enum tree_change change, const char *path, void *userdata)
{
	(void)userdata;
	printf("%s %s\n", tree_change_to_string(change), path);
	return 0;
}

struct save {
	const struct tree_slot *slot;
	struct tree_saved *set;
};

static int save(enum tree_change change, const char *path, void *userdata)
{
	struct save *s = userdata;
	struct stat st;

	(void)change;
	return fstatat(s->slot->slot_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0
		       ? 0
		       : tree_saved_add(s->set, path, &st);
}

static int run(const char *what, const struct tree_slot *slot, const git_oid *commit,
	       const git_oid *second, unsigned threads, const struct tree_reset_options *saved,
	       struct fault *f)
{
	struct tree_stats stats = { 0 };

	if (strcmp(what, "create") == 0)
		return tree_create(slot, commit, threads, &stats, f);
	if (strcmp(what, "reset") == 0)
		return tree_reset(slot, commit,
				  &(struct tree_reset_options){ .policy.wipe_ignored = true,
								.threads = threads },
				  &stats, f);
	if (strcmp(what, "saved") == 0)
		return tree_reset(slot, commit, saved, &stats, f);
	if (strcmp(what, "switch") == 0)
		return tree_switch(slot, second, threads, &stats, f);
	return tree_sweep(slot, commit, &(struct tree_sweep_options){ .threads = threads }, on_change,
			  NULL, NULL, f);
}

int main(int argc, char **argv)
{
	struct save s = { .set = tree_saved_new() };
	struct tree_reset_options saved = { .saved = s.set, .trash = ".trash-bench" };
	struct tree_slot slot;
	struct fault f = FAULT_NONE;
	git_oid commit, second;
	double begin;
	int r;

	if (argc < 7 || git_oid_fromstr(&commit, argv[5]) < 0 ||
	    git_oid_fromstr(&second, argv[argc > 7 ? 7 : 5]) < 0 || repo_global_init(&f) < 0)
		return 2;
	slot.common_dir = argv[2];
	slot.slot_fd = open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	slot.admin_fd = open(argv[4], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s.slot = &slot;
	saved.threads = (unsigned)atoi(argv[6]);
	saved.trash_dir_fd = openat(slot.slot_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (strcmp(argv[1], "saved") == 0 && tree_sweep(&slot, NULL, NULL, save, &s, NULL, &f) < 0)
		return 1;
	begin = now_ms();
	r = run(argv[1], &slot, &commit, &second, (unsigned)atoi(argv[6]), &saved, &f);
	if (r < 0) {
		fprintf(stderr, "%d: %s\n", r, f.text);
		return 1;
	}
	printf("%.1f\n", now_ms() - begin);
	return 0;
}
