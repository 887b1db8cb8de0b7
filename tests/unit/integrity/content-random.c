#include "integrity/content.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "fsck-witness.h"
#include "git-fixture.h"
#include "util/text.h"

TestSuite(content_random, .init = witness_init, .fini = witness_deinit, .timeout = 200);

static unsigned seed = 1;

static size_t pick(size_t n)
{
	return (size_t)rand_r(&seed) % n;
}
