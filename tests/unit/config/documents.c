/* The sample and the manual name every key, and say of each what the table says. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf-report.h"
#include "config/conf-value.h"
#include "config/yaml-node.h"
#include "fixture.h"
#include "util/cleanup.h"
#include "util/fs.h"
#include "util/text.h"

#define REMARK "no effect yet"

static char *read_document(const char *path)
{
	char *text = NULL;

	cr_assert(fs_read_file_at(AT_FDCWD, path, 1 << 20, &text, NULL) == 0, "%s", path);
	return text;
}

/* settings are behind "#" without a space, or with the spaces of a level */
static bool is_setting(const char *line)
{
	return line[0] == '#' && (line[1] != ' ' || line[2] == ' ') && line[1] != '\n';
}

/* the sample with its settings switched on, line for line */
static char *sample(void)
{
	_cleanup_(freep) char *text = read_document(CONF_SAMPLE);
	struct text t = { 0 };

	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n") + 1;
		bool on = is_setting(line);

		text_add(&t, line + on, len - on);
		line += len;
	}
	return text_take(&t);
}

static const char *line_at(const char *text, unsigned line)
{
	while (--line > 0)
		text = strchr(text, '\n') + 1;
	return text;
}

static bool has_before_newline(const char *text, const char *words)
{
	const char *at = strstr(text, words);

	return at && at < text + strcspn(text, "\n");
}

static void check_sample(const char *text, const struct yaml_node *section,
			 const struct conf_table *table)
{
	cr_assert(section != NULL);
	for (size_t i = 0; i < table->n; i++) {
		const struct conf_key *key = &table->keys[i];
		const struct yaml_node *node = yaml_node_find(section, key->name);
		bool has_remark;

		if (!node && (key->flags & CONF_POOL_ONLY))
			continue;
		cr_expect(node != NULL, "the sample lacks %s", key->name);
		if (!node)
			continue;
		has_remark = has_before_newline(line_at(text, node->line), REMARK);
		cr_expect(has_remark == ((key->flags & CONF_NO_EFFECT) != 0),
			  "the remark of %s in the sample", key->name);
	}
}

Test(conf_documents, the_sample_has_every_key_with_its_default)
{
	_cleanup_(freep) char *text = sample();
	struct conf *c = load(text), *d = load("");

	cr_expect(c->n_pools > 0);
	while (c->n_pools > 0)
		conf_pool_deinit(&c->pools[--c->n_pools]);
	cr_expect(first_difference(c, d) == NULL, "%s", first_difference(c, d));
	conf_unref(c);
	conf_unref(d);
}

Test(conf_documents, the_sample_as_it_is_changes_nothing)
{
	_cleanup_(freep) char *text = read_document(CONF_SAMPLE);
	struct conf *c = load(text), *d = load("");

	cr_expect(first_difference(c, d) == NULL);
	conf_unref(c);
	conf_unref(d);
}

Test(conf_documents, the_sample_remarks_what_has_no_effect_yet)
{
	struct conf_report report = { 0 };
	_cleanup_(yaml_node_freep) struct yaml_node *root = NULL;
	_cleanup_(freep) char *text = sample();

	cr_assert(yaml_node_parse(text, strlen(text), &report, &root) == 0);
	check_sample(text, root, &conf_top_keys);
	check_sample(text, yaml_node_find(root, "defaults"), &conf_pool_keys);
	check_sample(text, yaml_node_find(root, "strategies.conservative"), &conf_strategy_keys);
	cr_expect(yaml_node_find(root, "pools.api.url") != NULL);
	cr_expect(yaml_node_find(root, "pools.site.path") != NULL);
}

/* an item of the manual: "*lease.ttl* (duration, 1s to 30d)" and its indented lines */
static char *manual_item(const char *manual, const struct conf_key *key)
{
	struct text t = { 0 };
	_cleanup_(freep) char *head = NULL;
	const char *item, *end;

	text_addf(&t, "\n*%s* (", key->name);
	conf_key_describe(key, &t);
	text_add_string(&t, ")\n\t");
	head = text_take(&t);
	item = strstr(manual, head);
	cr_expect(item != NULL, "the manual lacks:%s", head);
	if (!item)
		return NULL;
	end = strstr(item + 1, "\n\n");
	return strndup(item, (size_t)(end - item));
}

/* wrapped lines as one */
static void unwrap(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		if (*from == '\n')
			*to++ = ' ';
		else if (*from != '\t')
			*to++ = *from;
	}
	*to = '\0';
}

static void check_manual(const char *manual, const struct conf_table *table)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct conf_key *key = &table->keys[i];
		_cleanup_(freep) char *item = manual_item(manual, key);
		_cleanup_(freep) char *fallback = text_printf("Default: %s.", key->fallback);

		bool has_remark;

		if (!item)
			continue;
		unwrap(item);
		has_remark = strstr(item, "*No effect yet.*") != NULL;
		cr_expect(has_remark == ((key->flags & CONF_NO_EFFECT) != 0),
			  "the remark of %s in the manual", key->name);
		if (key->fallback)
			cr_expect(strstr(item, fallback) != NULL, "the manual on %s: %s", key->name,
				  item);
	}
}

Test(conf_documents, the_manual_has_every_key_with_type_range_and_default)
{
	_cleanup_(freep) char *manual = read_document(CONF_MANUAL);

	check_manual(manual, &conf_top_keys);
	check_manual(manual, &conf_pool_keys);
	check_manual(manual, &conf_strategy_keys);
}
