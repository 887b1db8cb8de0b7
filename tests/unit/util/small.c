/* Faults, ids, clocks, lists, maps, JSON and fields of the log. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "util/fault.h"
#include "util/id.h"
#include "util/json.h"
#include "util/list.h"
#include "util/log.h"
#include "util/map.h"
#include "util/text.h"

#define S(text) ((char *)(text))

Test(fault, hands_the_code_through_and_keeps_the_last_sentence)
{
	struct fault f = FAULT_NONE;

	cr_expect(eq(int, fault(&f, -EBUSY, "slot %s is busy", "a-1"), -EBUSY));
	cr_expect(eq(str, f.text, S("slot a-1 is busy")));
	cr_expect(eq(int, fault_errno(&f, -ENOENT, "cannot open %s", "x"), -ENOENT));
	cr_expect(eq(str, f.text, S("cannot open x: No such file or directory")));
	cr_expect(eq(int, fault_oom(&f), -ENOMEM));
	cr_expect(eq(int, fault(NULL, -EIO, "nobody listens"), -EIO));
	cr_expect(eq(int, fault_errno(NULL, -EIO, "nobody listens"), -EIO));
}

Test(fault, may_be_built_on_its_own_text)
{
	struct fault f = FAULT_NONE;

	fault(&f, -EIO, "inner");
	fault(&f, -EIO, "outer: %s", f.text);
	cr_expect(eq(str, f.text, S("outer: inner")));
	fault_errno(&f, -EIO, "more: %s", f.text);
	cr_expect(text_has_prefix(f.text, "more: outer: inner: "));
}

Test(fault, cuts_long_texts_at_a_character_and_keeps_the_reason)
{
	char filler[300];
	struct fault f = FAULT_NONE;

	for (size_t shift = 0; shift < 4; shift++) {
		memset(filler, 'x', shift);
		for (size_t i = shift; i + 4 < sizeof(filler); i += 4)
			memcpy(filler + i, "\xF0\x9F\x98\x80", 5);
		fault(&f, -EIO, "%s", filler);
		cr_expect(gt(sz, strlen(f.text), sizeof(f.text) - 5));
		cr_expect(text_is_utf8(f.text, strlen(f.text)));
		fault_errno(&f, -EIO, "%s", filler);
		cr_expect(text_is_utf8(f.text, strlen(f.text)));
		cr_expect(text_has_suffix(f.text, ": Input/output error"));
	}
	memset(filler, '\xFF', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	fault(&f, -EIO, "%s", filler);
	cr_expect(gt(sz, strlen(f.text), sizeof(f.text) - 5));
}

Test(id, goes_through_text_and_back)
{
	struct id a, b, c = { { 0 } };
	char text[ID_TEXT_SIZE];

	id_random(&a);
	id_random(&b);
	cr_expect(not(id_is_equal(&a, &b)));
	cr_expect(id_is_null(&c));
	cr_expect(not(id_is_null(&a)));
	cr_expect(eq(int, id_from_string(id_to_string(&a, text), &c), 0));
	cr_expect(id_is_equal(&a, &c));
	cr_expect(eq(sz, strlen(text), 32));
}

Test(id, anything_but_32_lower_case_hex_digits_is_refused)
{
	static const char *const bad[] = { "", "0123456789abcdef0123456789abcde",
					   "0123456789abcdef0123456789abcdef0",
					   "0123456789ABCDEF0123456789abcdef",
					   "0123456789abcdeg0123456789abcdef" };
	struct id a = { { 1, 2, 3 } }, before = a;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect(eq(int, id_from_string(bad[i], &a), -EINVAL));
	cr_expect(id_is_equal(&a, &before));
}

Test(clock, can_be_faked_and_comes_back)
{
	struct boot_id boot = { { 1 } }, none = { { 0 } };
	uint64_t now;

	clock_fake(5, 7, &boot);
	cr_expect(eq(u64, clock_wall_usec(), 5));
	cr_expect(eq(u64, clock_boot_usec(), 7));
	cr_expect(boot_id_is_same(clock_boot_id(), &boot));
	clock_real();
	now = clock_boot_usec();
	cr_expect(gt(u64, now, 7));
	cr_expect(ge(u64, clock_boot_usec(), now));
	cr_expect(not(boot_id_is_same(clock_boot_id(), &boot)));
	cr_expect(boot_id_is_same(clock_boot_id(), clock_boot_id()));
	cr_expect(not(boot_id_is_same(&none, &none)));
}

struct item {
	int n;
	struct list link; /* head */
};

Test(list, keeps_its_order_and_lets_go)
{
	struct list head = LIST_INIT(head);
	struct item items[4] = { { 0 } }, *each, *tmp, *first;
	int sum = 0;

	cr_expect(list_is_empty(&head));
	first = list_first(&head, struct item, link);
	cr_expect(first == NULL);
	for (int i = 1; i < 4; i++) {
		items[i].n = i;
		list_append(&head, &items[i].link);
	}
	list_prepend(&head, &items[0].link);
	list_for_each (each, &head, link)
		sum = sum * 10 + each->n;
	cr_expect(eq(int, sum, 123));
	first = list_first(&head, struct item, link);
	cr_expect(first == &items[0]);
	list_for_each_safe (each, tmp, &head, link)
		if (each->n % 2)
			list_del(&each->link);
	list_del(&items[1].link);
	sum = 0;
	list_for_each (each, &head, link)
		sum = sum * 10 + each->n;
	cr_expect(eq(int, sum, 2));
}

Test(map, finds_what_was_put_and_nothing_else)
{
	struct map *map = map_new();
	int a, b;

	cr_expect(eq(int, map_put(map, "a", &a), 0));
	cr_expect(eq(int, map_put(map, "b", &b), 0));
	cr_expect(eq(int, map_put(map, "a", &b), -EEXIST));
	cr_expect(map_find(map, "a") == &a);
	cr_expect(map_find(map, "c") == NULL);
	cr_expect(eq(sz, map_count(map), 2));
	map_remove(map, "a");
	map_remove(map, "a");
	cr_expect(map_find(map, "a") == NULL);
	cr_expect(eq(int, map_put(map, "a", &b), 0));
	cr_expect(eq(sz, map_count(map), 2));
	map_free(map);
	map_free(NULL);
}

Test(map, survives_many_that_come_and_go)
{
	static char keys[20000][8];
	struct map *map = map_new();

	for (int i = 0; i < 20000; i++) {
		snprintf(keys[i], sizeof(keys[i]), "%d", i);
		cr_assert(map_put(map, keys[i], keys[i]) == 0);
		if (i >= 100)
			map_remove(map, keys[i - 100]);
	}
	cr_expect(eq(sz, map_count(map), 100));
	for (int i = 0; i < 20000; i++)
		cr_assert(map_find(map, keys[i]) == (i >= 19900 ? keys[i] : NULL));
	map_free(map);
}

Test(json, getters_fall_back_and_setters_chain)
{
	_cleanup_json_ json_object *o = json_object_new_object();

	json_set_string(json_set_int(json_set_bool(o, "b", true), "i", INT64_MAX), "s", "x");
	json_set_string(o, "null", NULL);
	json_set_double(o, "d", 0.5);
	json_set(o, "o", json_object_new_object());
	json_set(o, "a", json_object_new_array());
	cr_expect(json_get_bool(o, "b", false));
	cr_expect(eq(i64, json_get_int(o, "i", 0), INT64_MAX));
	cr_expect(eq(str, S(json_get_string(o, "s")), S("x")));
	cr_expect(json_get_string(o, "null") == NULL);
	cr_expect(json_get_string(o, "i") == NULL);
	cr_expect(eq(i64, json_get_int(o, "s", 7), 7));
	cr_expect(eq(i64, json_get_int(o, "d", 7), 7));
	cr_expect(json_get_object(o, "o") != NULL);
	cr_expect(json_get_object(o, "a") == NULL);
	cr_expect(json_get_array(o, "a") != NULL);
	cr_expect(json_get_string(NULL, "s") == NULL);
}

Test(json, bytes_come_back_whatever_they_are)
{
	unsigned char data[256], back[256];
	size_t len;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 167 + 3);
	for (size_t n = 0; n <= sizeof(data); n++) {
		_cleanup_json_ json_object *o = json_set_bytes(json_object_new_object(), "b", data, n);

		len = SIZE_MAX;
		cr_assert(eq(int, json_get_bytes(o, "b", back, n, &len), 0));
		cr_assert(eq(sz, len, n));
		cr_assert(eq(int, memcmp(data, back, n), 0));
		if (n > 0)
			cr_assert(eq(int, json_get_bytes(o, "b", back, n - 1, &len), -EINVAL));
	}
}

Test(json, what_is_no_base64_gives_no_bytes)
{
	static const char *const wrong[] = { "a", "ab", "abc", "ab=c", "a===", "====", "abc!", "ab==abcd",
					     "abc\n", "ab\xc3\xa4", "Yh==", "YWL=" };
	_cleanup_json_ json_object *o = json_object_new_object();
	unsigned char back[16];
	size_t len;

	cr_expect(eq(int, json_get_bytes(o, "b", back, sizeof(back), &len), -ENOENT));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		json_set_string(o, "b", wrong[i]);
		cr_expect(eq(int, json_get_bytes(o, "b", back, sizeof(back), &len), -EINVAL), "%s", wrong[i]);
	}
}

Test(json, file_names_of_any_bytes_are_told)
{
	static const struct {
		const char *path, *base64;
	} cases[] = { { "\xFF", "/w==" }, { "a\xFF", "Yf8=" }, { "ab\xFF", "YWL/" } };
	_cleanup_json_ json_object *plain = json_object_new_object();

	json_set_path(plain, "path", "a\"b");
	cr_expect(eq(str, S(json_get_string(plain, "path")), S("\"a\\\"b\"")));
	cr_expect(json_get_string(plain, "pathBase64") == NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ json_object *o = json_object_new_object();

		json_set_path(o, "path", cases[i].path);
		cr_expect(eq(str, S(json_get_string(o, "pathBase64")), S(cases[i].base64)));
	}
}

Test(log, levels_and_parts)
{
	int level = -1;

	cr_expect(eq(int, log_level_from_string("warning", &level), 0));
	cr_expect(eq(int, level, LOG_WARNING));
	cr_expect(eq(int, log_level_from_string("loud", &level), -EINVAL));
	cr_expect(eq(int, level, LOG_WARNING));
	setenv("SLOTD_DEBUG", "recovery,lease", 1);
	log_open("test", LOG_INFO);
	cr_expect(log_part_is_on("lease"));
	cr_expect(log_part_is_on("recovery"));
	cr_expect(not(log_part_is_on("leas")));
	cr_expect(not(log_part_is_on("leases")));
	cr_expect(not(log_part_is_on("jobs")));
	setenv("SLOTD_DEBUG", "all", 1);
	log_open("test", LOG_INFO);
	cr_expect(log_part_is_on("jobs"));
	unsetenv("SLOTD_DEBUG");
	log_open("test", LOG_DEBUG);
	cr_expect(log_part_is_on("jobs"));
}

/* what a line is when standard error is this; the descriptor is closed */
static char *line_to(int to, int from)
{
	static char text[256];
	ssize_t n;
	int old = dup(STDERR_FILENO);

	cr_assert(ge(int, dup2(to, STDERR_FILENO), 0));
	unsetenv("JOURNAL_STREAM");
	log_open("test", LOG_INFO);
	log_info("hello a=1");
	dup2(old, STDERR_FILENO);
	close(old);
	close(to);
	n = read(from, text, sizeof(text) - 1);
	close(from);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

Test(log, a_line_has_its_time_in_a_file_and_nowhere_else)
{
	char path[] = "/tmp/slotd-test-log-XXXXXX";
	int to = mkstemp(path), from = open(path, O_RDONLY | O_CLOEXEC), p[2];
	char *line = line_to(to, from), *end;
	struct tm tm = { 0 };

	unlink(path);
	end = strptime(line, "%Y-%m-%dT%H:%M:%SZ ", &tm);
	cr_assert(end != NULL, "%s", line);
	cr_expect(eq(str, end, (char *)"test: hello a=1\n"));
	cr_expect(le(long, labs(timegm(&tm) - time(NULL)), 5));
	cr_assert(zero(int, pipe2(p, O_CLOEXEC)));
	cr_expect(eq(str, line_to(p[1], p[0]), (char *)"test: hello a=1\n"));
}

Test(log, the_tail_of_a_sentence_is_fields)
{
	char fields[3][LOG_FIELD_SIZE];

	cr_assert(eq(sz, log_fields("lease ended: a=b is odd slot=api-3 uid=1000", fields, 3), 2));
	cr_expect(eq(str, fields[0], S("SLOTD_UID=1000")));
	cr_expect(eq(str, fields[1], S("SLOTD_SLOT=api-3")));
	cr_expect(eq(sz, log_fields("a=1 b=2 c=3 d=4", fields, 3), 3));
	cr_expect(eq(sz, log_fields("a=1", fields, 3), 1));
	cr_expect(eq(sz, log_fields("", fields, 3), 0));
	cr_expect(eq(sz, log_fields("=x", fields, 3), 0));
	cr_expect(eq(sz, log_fields("X=1", fields, 3), 0));
	cr_expect(eq(sz, log_fields("a=1 ", fields, 3), 0));
}
