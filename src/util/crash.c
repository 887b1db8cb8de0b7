/* Die where a test wants it. */
#include "util/crash.h"

#ifdef SLOTD_CRASHPOINTS
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/file.h>
#include <unistd.h>

/* opened at the first point, before Landlock or a clean environment can be in the way */
static struct crash_cell *cells;
static int cells_fd = -1;

static bool cells_open(void)
{
	static bool tried;
	const char *path = getenv("SLOTD_CRASH_FILE");
	size_t size = CRASH_CELLS * sizeof(struct crash_cell);
	void *map;

	if (tried)
		return cells != NULL;
	tried = true;
	if (!path)
		return false;
	cells_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (cells_fd < 0 || ftruncate(cells_fd, (off_t)size) < 0)
		return false;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, cells_fd, 0);
	if (map == MAP_FAILED)
		return false;
	cells = map;
	return true;
}

static struct crash_cell *cell_find_or_add(const char *name)
{
	/* flock() keeps other processes out, but not other threads of this one */
	static pthread_mutex_t threads = PTHREAD_MUTEX_INITIALIZER;
	struct crash_cell *cell = NULL;

	pthread_mutex_lock(&threads);
	flock(cells_fd, LOCK_EX);
	for (int i = 0; i < CRASH_CELLS && !cell; i++) {
		if (strncmp(cells[i].name, name, sizeof(cells[i].name) - 1) == 0)
			cell = &cells[i];
		else if (cells[i].name[0] == '\0') {
			cell = &cells[i];
			strncpy(cell->name, name, sizeof(cell->name) - 1);
		}
	}
	flock(cells_fd, LOCK_UN);
	pthread_mutex_unlock(&threads);
	return cell;
}

void crash_point(const char *name)
{
	struct crash_cell *cell;
	uint32_t hit, wanted;

	if (!cells_open())
		return;
	cell = cell_find_or_add(name);
	if (!cell)
		abort();
	hit = __atomic_add_fetch(&cell->hits, 1, __ATOMIC_SEQ_CST);
	wanted = __atomic_load_n(&cell->kill_at, __ATOMIC_SEQ_CST);
	if (hit == (wanted & ~CRASH_STOP)) {
		__atomic_store_n(&cell->kill_at, 0, __ATOMIC_SEQ_CST);
		raise(wanted & CRASH_STOP ? SIGSTOP : SIGKILL);
	}
}
#endif
