/* Who, and when. */
#include "integrity/content-private.h"

/* the first of '<', '>' and a newline, or the end */
static void skip_to_bracket(struct content_text *t)
{
	while (t->at < t->end && *t->at != '<' && *t->at != '>' && *t->at != '\n')
		t->at++;
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * A number as strtoull() takes it, which git uses: blanks before it, even the ends of lines, and a sign.
 * False: there is none. A negative one wraps, and so is too large, but for 0.
 */
static bool take_number(struct content_text *t, bool *ret_is_too_large)
{
	struct content_text number = *t;
	bool is_negative;
	uint64_t n = 0;

	*ret_is_too_large = false;
	while (is_blank(content_peek(&number, 0)))
		number.at++;
	is_negative = content_peek(&number, 0) == '-';
	if (is_negative || content_peek(&number, 0) == '+')
		number.at++;
	if (!is_digit(content_peek(&number, 0)))
		return false;
	for (; is_digit(content_peek(&number, 0)); number.at++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*number.at - '0'), &n))
			*ret_is_too_large = true;
	if (n > INT64_MAX || (is_negative && n > 0))
		*ret_is_too_large = true;
	*t = number;
	return true;
}

static bool is_zone(const struct content_text *t)
{
	if (content_peek(t, 0) != '+' && content_peek(t, 0) != '-')
		return false;
	for (size_t i = 1; i <= 4; i++)
		if (!is_digit(content_peek(t, i)))
			return false;
	return content_peek(t, 5) == '\n';
}

static int check_time(const struct content_pass *p, struct content_text *t)
{
	bool has_number, is_too_large;

	if (content_peek(t, 0) == '0' && content_peek(t, 1) != ' ')
		return content_tell(p, FSCK_ZERO_PADDED_DATE, "a time begins with a zero");
	has_number = take_number(t, &is_too_large);
	if (is_too_large)
		return content_tell(p, FSCK_BAD_DATE_OVERFLOW, "a time is too large to be one");
	if (!has_number || !content_skip(t, " "))
		return content_tell(p, FSCK_BAD_DATE, "a time is no number");
	if (!is_zone(t))
		return content_tell(p, FSCK_BAD_TIMEZONE, "a time zone is none");
	return 0;
}

/* @t: behind the address's bracket */
static int check_address(const struct content_pass *p, struct content_text *t)
{
	skip_to_bracket(t);
	if (!content_skip(t, ">"))
		return content_tell(p, FSCK_BAD_EMAIL, "an address has no end");
	if (!content_skip(t, " "))
		return content_tell(p, FSCK_MISSING_SPACE_BEFORE_DATE, "there is no space before a time");
	return check_time(p, t);
}

int content_check_ident(const struct content_pass *p, struct content_text *t)
{
	struct content_text ident = *t;

	content_next_line(t);
	if (content_peek(&ident, 0) == '<')
		return content_tell(p, FSCK_MISSING_NAME_BEFORE_EMAIL, "there is no name before an address");
	skip_to_bracket(&ident);
	if (content_peek(&ident, 0) == '>')
		return content_tell(p, FSCK_BAD_NAME, "a name has a '>' in it");
	if (content_peek(&ident, 0) != '<')
		return content_tell(p, FSCK_MISSING_EMAIL, "there is no address");
	if (ident.at[-1] != ' ')
		return content_tell(p, FSCK_MISSING_SPACE_BEFORE_EMAIL, "there is no space before an address");
	ident.at++;
	return check_address(p, &ident);
}
