/* Any bytes as rules and as a path: an answer, in time, without a byte read beside them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "git/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *nul = memchr(data, '\0', len);
	struct pattern p;
	char *path;

	if (!nul || len > 4096)
		return 0;
	path = strndup((const char *)nul + 1, len - (size_t)(nul + 1 - data));
	if (path && pattern_parse((const char *)data, (size_t)(nul - data), &p) == 0) {
		p.base = path;
		(void)pattern_is_match(&p, path, strlen(path), true);
		p.base_len = strcspn(path, "/");
		(void)pattern_is_match(&p, path, strlen(path), false);
		pattern_deinit(&p);
	}
	free(path);
	return 0;
}
