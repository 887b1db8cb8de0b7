/*
 * Any bytes are a configuration or a list of faults; and what is a configuration
 * prints to one that loads to the same print.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf-internal.h"
#include "util/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char *reprint(const char *text, size_t len)
{
	struct conf_faults faults = { 0 };
	struct fault f = FAULT_NONE;
	struct conf *c = NULL;
	char *printed;
	int r = conf_load_buffer("f", text, len, CONF_SCOPE_SYSTEM, &c, &faults, &f);

	if (r < 0) {
		if (faults.n == 0 || f.text[0] == '\0')
			abort();
		conf_faults_deinit(&faults);
		return NULL;
	}
	printed = conf_to_yaml(c);
	conf_unref(c);
	return printed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	_cleanup_(freep) char *once = reprint((const char *)data, len);
	_cleanup_(freep) char *twice = once ? reprint(once, strlen(once)) : NULL;

	if (once && (!twice || strcmp(once, twice) != 0))
		abort();
	return 0;
}
