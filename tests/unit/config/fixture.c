#include "fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf-value.h"
#include "util/text.h"

struct conf *load(const char *text)
{
	struct fault f = FAULT_NONE;
	struct conf *c = NULL;
	int r = conf_load_buffer("f", text, strlen(text), CONF_SCOPE_SYSTEM, &c, NULL, &f);

	cr_assert(r == 0, "%s", f.text);
	return c;
}

char *faults_of(const char *text)
{
	struct conf_faults faults = { 0 };
	struct fault f = FAULT_NONE;
	struct text t = { 0 };
	struct conf *c = NULL;
	int r = conf_load_buffer("f", text, strlen(text), CONF_SCOPE_SYSTEM, &c, &faults, &f);

	cr_assert(r == -EINVAL, "this is no fault: %s", text);
	cr_assert(c == NULL);
	cr_assert(faults.n > 0);
	cr_expect(strncmp(f.text, faults.lines[0], sizeof(f.text) - 4) == 0);
	for (size_t i = 0; i < faults.n; i++)
		text_addf(&t, "%s\n", faults.lines[i]);
	conf_faults_deinit(&faults);
	return text_take(&t);
}

static const char *table_difference(const struct conf_table *table, const void *a, const void *b)
{
	for (size_t i = 0; i < table->n; i++)
		if (!conf_value_is_equal(&table->keys[i], a, b))
			return table->keys[i].name;
	return NULL;
}

const char *first_difference(const struct conf *a, const struct conf *b)
{
	const char *name = table_difference(&conf_top_keys, a, b);

	if (!name)
		name = table_difference(&conf_pool_keys, &a->defaults, &b->defaults);
	if (!name && a->n_pools != b->n_pools)
		name = "pools";
	for (size_t i = 0; !name && i < a->n_pools; i++)
		name = !text_is_equal(a->pools[i].name, b->pools[i].name)
			       ? "name of a pool"
			       : table_difference(&conf_pool_keys, &a->pools[i], &b->pools[i]);
	if (!name && a->n_strategies != b->n_strategies)
		name = "strategies";
	for (size_t i = 0; !name && i < a->n_strategies; i++)
		name = !text_is_equal(a->strategies[i].name, b->strategies[i].name)
			       ? "name of a strategy"
			       : table_difference(&conf_strategy_keys, &a->strategies[i],
						  &b->strategies[i]);
	return name;
}
