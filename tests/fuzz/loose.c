/* Any bytes as a loose object's file: a fault, or an object whose size is what its header says. */
#include <stdint.h>
#include <stdlib.h>

#include "git/loose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	git_object_t type, type_again;
	size_t size, size_again;
	void *content = NULL;
	struct fault f = FAULT_NONE;
	int r;

	if (git_libgit2_init() > 1) /* once is enough */
		git_libgit2_shutdown();
	r = loose_decode(data, len, &type, &content, &size, &f);
	if (r == 0 && (loose_decode_header(data, len, &type_again, &size_again, &f) != 0 ||
		       type != type_again || size != size_again))
		abort();
	if (r < 0 && (content || f.text[0] == '\0'))
		abort();
	if (r == 0)
		loose_free(content);
	return 0;
}
