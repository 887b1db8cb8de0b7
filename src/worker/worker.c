/* Read, do, answer. */
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "git/tree-list.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/log.h"
#include "util/text.h"

#define PROGRESS_USEC (200 * USEC_PER_MSEC)
#define MAX_THREADS   4
#define CALL_BYTES    (24 << 20) /* the notes of a check are much; they come from slotd alone */

static unsigned count_cpus(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (unsigned)n;
}

int worker_init(struct worker *w, struct fault *f)
{
	int r;

	w->common_dir = NULL;
	w->idl = NULL;
	w->threads = count_cpus();
	w->slots_fd = open(w->slots, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->slots_fd < 0)
		return fault_errno(f, -errno, "cannot open the slots directory %s", w->slots);
	r = idl_parse(io_slotd_worker_varlink, &w->idl, f);
	if (r < 0)
		return r;
	r = frame_buf_init(&w->frames, CALL_BYTES, 0, 0);
	return r < 0 ? fault_oom(f) : 0;
}

void worker_deinit(struct worker *w)
{
	frame_buf_deinit(&w->frames);
	idl_free(w->idl);
	closep(&w->slots_fd);
	free(w->common_dir);
}

/* --- out --- */

static int send_message(struct worker *w, json_object *message, struct fault *f)
{
	int r = frame_queue(&w->frames, message);

	if (r < 0)
		return fault_errno(f, r, "cannot queue a reply");
	while (frame_pending(&w->frames) > 0) {
		r = frame_flush(&w->frames, w->fd, f);
		if (r < 0)
			return r;
	}
	return 0;
}

/* @params: taken over */
static int send_reply(struct worker *w, const char *error, json_object *params, bool continues,
		      struct fault *f)
{
	_cleanup_json_ json_object *message = json_object_new_object();

	json_set(message, "parameters", params);
	if (error)
		json_set_string(message, "error", error);
	if (continues)
		json_set_bool(message, "continues", true);
	return send_message(w, message, f);
}

static json_object *progress_object(const char *phase, uint64_t done, uint64_t total)
{
	json_object *o = json_object_new_object();

	json_set_string(o, "phase", phase);
	json_set_int(o, "done", (int64_t)done);
	return json_set_int(o, "total", (int64_t)total);
}

int work_tell(struct work *work, json_object *params)
{
	if (!work->more) {
		json_object_put(params);
		return 0;
	}
	return send_reply(work->worker, NULL, params, true, &work->fault) < 0 ? -EPIPE : 0;
}

int work_progress(const char *phase, uint64_t done, uint64_t total, void *userdata)
{
	struct work *work = userdata;
	uint64_t now = clock_boot_usec();
	json_object *params;

	if (!work->more || now - work->told_usec < PROGRESS_USEC)
		return 0;
	work->told_usec = now;
	params = json_object_new_object();
	return work_tell(work, json_set(params, "progress", progress_object(phase, done, total)));
}

/* --- errors --- */

const char *work_error_name(int code)
{
	switch (code) {
	case -ENOENT:
		return "io.slotd.worker.NotFound";
	case -EOPNOTSUPP:
		return "io.slotd.worker.Unsupported";
	case -EUSERS:
		return "io.slotd.worker.InUse";
	case -ENOTUNIQ:
		return "io.slotd.worker.InTheWay";
	case -EUCLEAN:
	case -EBUSY: /* a slot that is not as clean as the ledger says */
	case -ELOOP:
	case -EXDEV:
		return "io.slotd.worker.Damaged";
	case -EAGAIN:
	case -ENETUNREACH:
	case -ETIMEDOUT:
		return "io.slotd.worker.Transient";
	case -ENOSPC:
	case -EDQUOT:
	case -EROFS:
		return "io.slotd.worker.NoSpace";
	case -EACCES:
	case -EPERM:
		return "io.slotd.worker.NotPermitted";
	default:
		return "io.slotd.worker.Failed";
	}
}

int work_invalid(struct work *work, const char *parameter)
{
	work->error = "org.varlink.service.InvalidParameter";
	json_set_string(work->reply, "parameter", parameter);
	return 0;
}

/* --- in --- */

static void begin_reply(struct work *work)
{
	json_object_put(work->reply);
	work->reply = json_object_new_object();
}

/*
 * All but the greeting come with the lock that guards what they touch, and but those that slotctl asks for:
 * a holder restores into his own slot or directory beside slotd, as he runs git there.
 */
static bool is_locked(const char *method)
{
	return strcmp(method, "Hello") != 0 && !text_has_prefix(method, "SalvageRestore");
}

static int do_locked(struct work *work, const char *method, work_fn fn, int lock_fd)
{
	int r;

	if (lock_fd < 0 && is_locked(method))
		return fault(&work->fault, -EINVAL, "%s came without the descriptor of its lock",
			     method);
	tree_list_remember(true);
	r = fn(work);
	tree_list_remember(false);
	return r;
}

/* one that may write wherever the operator says touches no repository, and the other way round */
static bool is_for(const struct worker *w, const char *method)
{
	return strcmp(method, "Hello") == 0 || w->commands == (strcmp(method, "SlotRun") == 0);
}

static int do_work(struct work *work, const char *method, int lock_fd)
{
	_cleanup_(freep) char *field = NULL;
	work_fn fn = work_find(method);
	int r;

	r = idl_check_call(work->worker->idl, method, work->params, &field, &work->fault);
	if (r == IDL_E_INVALID)
		return work_invalid(work, field);
	if (r == IDL_E_NO_METHOD || !fn || !is_for(work->worker, method)) {
		work->error = "org.varlink.service.MethodNotFound";
		json_set_string(work->reply, "method", method);
		return 0;
	}
	return r < 0 ? r : do_locked(work, method, fn, lock_fd);
}

/* unless the job has named it */
static void name_error(struct work *work, int code)
{
	const char *error = work->error ? work->error : work_error_name(code);

	begin_reply(work);
	work->error = error;
	if (!work->fault.text[0])
		fault_errno(&work->fault, code, "the job failed");
	json_set_string(work->reply, "message", work->fault.text);
}

static const char *method_of(json_object *call)
{
	static const char interface[] = "io.slotd.worker.";
	const char *method = json_get_string(call, "method");

	if (!method)
		return "";
	return text_has_prefix(method, interface) ? method + strlen(interface) : method;
}

/*
 * The lock is let go when nothing is touched any more, and before slotd can know of it: the next
 * job of the same slot then finds it free.
 */
static int answer(struct worker *w, json_object *call, struct fault *f)
{
	_cleanup_(closep) int lock_fd = frame_take_fd(&w->frames);
	struct work work = { .worker = w,
			     .params = json_get_object(call, "parameters"),
			     .more = json_get_bool(call, "more", false) };
	const char *method = method_of(call);
	uint64_t began = clock_boot_usec();
	int r;

	begin_reply(&work);
	r = do_work(&work, method, lock_fd);
	closep(&lock_fd);
	lock_fd = -1;
	if (r < 0)
		name_error(&work, r);
	log_debug("worker", "%s %s %llu us pool=%s", method, work.error ? work.error : "done",
		  (unsigned long long)(clock_boot_usec() - began), w->pool);
	return send_reply(w, work.error, work.reply, false, f);
}

static int on_message(struct worker *w, int outcome, json_object *call, struct fault *f)
{
	switch (outcome) {
	case 0:
		return answer(w, call, f);
	case FRAME_E_CLOSED:
		return 1;
	case FRAME_E_PARTIAL:
		return frame_read(&w->frames, w->fd, f);
	default:
		/* the daemon never sends such a thing */
		return fault(f, -EPROTO, "a message that cannot be understood came from slotd");
	}
}

int worker_serve(struct worker *w, struct fault *f)
{
	int r = 0;

	while (r == 0) {
		_cleanup_json_ json_object *call = NULL;
		int outcome = frame_next(&w->frames, &call);

		r = on_message(w, outcome, call, f);
	}
	return r < 0 ? r : 0;
}
