/* What the peer says, in the words of io.slotd.pool. */
#ifndef TESTS_REPLIES_H
#define TESTS_REPLIES_H

#define LEASE_ID "00112233445566778899aabbccddeeff"

#define LEASE_REPLY                                                                     \
	"{\"parameters\":{\"lease\":\"" LEASE_ID "\",\"token\":7,\"slot\":\"api-3\","   \
	"\"pool\":\"api\",\"path\":\"/srv/api/api-3\",\"commonDir\":\"/srv/api.git\","  \
	"\"gitDir\":\"/srv/api.git/worktrees/api-3\",\"head\":\"abc\",\"branch\":null," \
	"\"acquiredAtUsec\":1,\"expiresAtUsec\":null,\"base\":{},\"sequence\":1}}"

#define RELEASE_REPLY                                                     \
	"{\"parameters\":{\"lease\":\"" LEASE_ID "\",\"slot\":\"api-3\"," \
	"\"pool\":\"api\",\"salvage\":null,\"state\":\"ready\",\"sequence\":2}}"

#define ERROR_REPLY(name, message) \
	"{\"error\":\"io.slotd.pool." name "\",\"parameters\":{\"message\":\"" message "\"}}"

#define MS 1000ULL

#endif
