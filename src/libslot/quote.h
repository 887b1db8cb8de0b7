/**
 * DOC: quote - the bytes behind a file name that was quoted as git does
 */
#ifndef LIBSLOT_QUOTE_H
#define LIBSLOT_QUOTE_H

/**
 * unquote_path - undo text_quote_path()
 * @text: a file name; taken as it is unless it begins with a double quote
 *
 * Returns allocated bytes that the caller frees, or NULL when memory ran out. What is no
 * proper quotation is copied unchanged.
 */
char *unquote_path(const char *text);

#endif
