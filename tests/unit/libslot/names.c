/* Errors and methods by their names, held against the interface definition. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "libslot/error.h"
#include "libslot/method.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

#define ID "0123456789abcdef0123456789abcdef"

/* calls @each for the name behind @keyword (with its blank) at the start of a line */
static int for_each_named(const char *keyword, void (*each)(const char *name))
{
	_cleanup_(fclosep) FILE *file = fopen(POOL_VARLINK, "re");
	char line[512];
	int n = 0;

	cr_assert(file != NULL, "%s", POOL_VARLINK);
	while (fgets(line, sizeof(line), file)) {
		char *name = line + strlen(keyword);

		if (!text_has_prefix(line, keyword))
			continue;
		name[strcspn(name, " (")] = '\0';
		n++;
		each(name);
	}
	return n;
}

static void expect_number(const char *name)
{
	_cleanup_(freep) char *full = text_printf(ERROR_PREFIX "%s", name);

	if (strcmp(name, "Internal") != 0)
		cr_expect(ne(int, error_to_errno(full), -ENOTRECOVERABLE), "%s has no errno", name);
}

Test(names, every_error_of_the_interface_has_an_errno)
{
	cr_assert(ge(int, for_each_named("error ", expect_number), 18));
}

Test(names, the_errors_that_callers_branch_on_have_the_promised_errno)
{
	cr_expect(eq(int, error_to_errno("io.slotd.pool.Busy"), -EBUSY));
	cr_expect(eq(int, error_to_errno("io.slotd.pool.Unavailable"), -ENODEV));
	cr_expect(eq(int, error_to_errno("io.slotd.pool.QuotaReached"), -EDQUOT));
	cr_expect(eq(int, error_to_errno("io.slotd.pool.NotFound"), -ENOENT));
	cr_expect(eq(int, error_to_errno("io.slotd.pool.LeaseGone"), -ESTALE));
	cr_expect(eq(int, error_to_errno("io.slotd.pool.NotPermitted"), -EACCES));
	cr_expect(eq(int, error_to_errno("io.slotd.pool.Isolated"), -EUCLEAN));
	cr_expect(eq(int, error_to_errno("io.slotd.pool.KeyReused"), -EEXIST));
	cr_expect(eq(int, error_to_errno("org.varlink.service.MethodNotFound"), -EOPNOTSUPP));
	cr_expect(eq(int, error_to_errno("Busy"), -ENOTRECOVERABLE));
	cr_expect(eq(int, error_to_errno("com.example.Odd"), -ENOTRECOVERABLE));
}

/* what the table does not know is late and never repeated: no method of ours may be that by accident */
static void expect_known(const char *name)
{
	static const char *const never_repeated[] = { "PoolAdd", "PoolRemove", "SlotAdd",
						      "SlotRemove", "PingReset", "SalvageDrop" };
	_cleanup_json_ json_object *params = json_object_new_object();
	_cleanup_(freep) char *full = text_printf("io.slotd.pool.%s", name);
	unsigned flags;

	json_set_string(params, "lease", ID);
	json_set_string(params, "key", "k");
	flags = method_flags(full, params);
	for (size_t i = 0; i < ARRAY_SIZE(never_repeated); i++) {
		if (strcmp(name, never_repeated[i]) == 0) {
			cr_expect(eq(u32, flags & METHOD_REPEAT, 0), "%s", name);
			return;
		}
	}
	cr_expect(ne(u32, flags & METHOD_REPEAT, 0), "%s", name);
}

Test(names, every_method_of_the_interface_is_known)
{
	cr_assert(ge(int, for_each_named("method ", expect_known), 24));
}

static unsigned flags_of(const char *name, const char *params)
{
	_cleanup_json_ json_object *o = json_tokener_parse(params);

	return method_flags(name, o);
}

Test(names, a_release_is_repeated_only_by_the_lease_id)
{
	const char *release = "io.slotd.pool.Release";

	cr_expect(ne(u32, flags_of(release, "{\"lease\":\"" ID "\"}") & METHOD_REPEAT, 0));
	cr_expect(ne(u32, flags_of(release, "{\"lease\":\"" ID "\"}") & METHOD_ENDS, 0));
	cr_expect(eq(u32, flags_of(release, "{\"lease\":\"api-3\"}") & METHOD_REPEAT, 0));
	cr_expect(eq(u32, flags_of(release, "{\"lease\":\"/srv/api-3\"}") & METHOD_ENDS, 0));
	cr_expect(eq(u32, flags_of(release, "{}") & METHOD_REPEAT, 0));
}

Test(names, an_acquire_is_repeated_only_with_a_key)
{
	cr_expect(ne(u32, flags_of("io.slotd.pool.Acquire", "{\"key\":\"k\"}") & METHOD_REPEAT, 0));
	cr_expect(eq(u32, flags_of("io.slotd.pool.Acquire", "{}") & METHOD_REPEAT, 0));
}

Test(names, a_release_that_does_not_wait_is_answered_at_once)
{
	cr_expect(ne(u32, flags_of("io.slotd.pool.Release", "{}") & METHOD_LATE, 0));
	cr_expect(eq(u32, flags_of("io.slotd.pool.Release", "{\"wait\":false}") & METHOD_LATE, 0));
}

Test(names, a_method_of_another_interface_is_late_and_never_repeated)
{
	cr_expect(eq(u32, flags_of("com.example.Do", "{}"), METHOD_LATE));
}

Test(names, a_name_without_a_dot_is_ours)
{
	_cleanup_(freep) char *ours = method_full_name("Status");
	_cleanup_(freep) char *theirs = method_full_name("org.varlink.service.GetInfo");

	cr_expect(eq(str, ours, (char *)"io.slotd.pool.Status"));
	cr_expect(eq(str, theirs, (char *)"org.varlink.service.GetInfo"));
}
