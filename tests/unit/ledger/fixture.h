/* Records with something in every field, and what is done to files. */
#ifndef TEST_LEDGER_FIXTURE_H
#define TEST_LEDGER_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ledger/record.h"
#include "scratch.h"

bool is_under_valgrind(void); /* slow, and with limits of its own */

char *path_of(const char *dir, const char *name); /* the caller frees */
void remove_at(const char *dir, const char *name);
void make_dir_at(const char *dir, const char *name);
void flip_bit(const char *path, off_t bit);

/* empty but for what is its key */
struct pool_record pool_empty(const char *name);
struct slot_record slot_empty(const char *name);
struct lease_record lease_empty(void);
struct key_record key_empty(uint32_t uid, const char *key);
struct event_record event_empty(const char *kind);

/* every field at its largest */
struct pool_record pool_full(void);
struct slot_record slot_full(void);
struct lease_record lease_full(void);
struct key_record key_full(void);
struct handoff_record handoff_empty(void);
struct handoff_record handoff_full(void);
struct salvage_record salvage_empty(const char *slot, uint64_t n);
struct salvage_record salvage_full(void);
struct note_record note_empty(const char *pool, const char *name);
struct note_record note_full(void);
struct check_record check_empty(const char *pool);
struct check_record check_full(void);
struct finding_record finding_empty(const char *pool, const char *key);
struct finding_record finding_full(void);
struct ticket_record ticket_empty(uint32_t uid, const char *key);
struct ticket_record ticket_full(void);
struct lease_stats_record lease_stats_full(void);
struct token_record token_full(void);
struct event_record event_full(void);
struct generation_record generation_full(void);

#endif
