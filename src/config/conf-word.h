/**
 * DOC: conf-word - strings that must be of a kind: paths, refs, URLs, bindings
 */
#ifndef CONFIG_CONF_WORD_H
#define CONFIG_CONF_WORD_H

#include <stdbool.h>

#include "config/conf-keys.h"

/**
 * conf_word_take - a string as its key wants it
 * @ret: allocated; a path comes without doubled or trailing slashes; "" stays ""
 * @ret_why: on -EINVAL an allocated sentence
 *
 * 0, -EINVAL, -ENOMEM (also when there is none for the sentence).
 */
int conf_word_take(const struct conf_key *key, const char *text, char **ret, char **ret_why);

/* letters, digits and "_", as the shell has it, at most 255 */
bool conf_word_is_variable(const char *text);

/* a path without "//", "/./" and a trailing "/"; NULL: no memory */
char *conf_word_clean_path(const char *path);

/* is path equal to dir or below it? both clean */
bool conf_word_is_below(const char *path, const char *dir);

/* why git takes no branch of this name; NULL when it does */
const char *conf_word_branch_objection(const char *branch);

/* why an acquire cannot ask for this binding ("process:PID" is one, too); NULL when it can */
const char *conf_word_bind_objection(const char *bind);

/* why a URL cannot be cloned from; NULL when it can */
const char *conf_word_url_objection(const char *url);

#endif
