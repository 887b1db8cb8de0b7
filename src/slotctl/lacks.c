/* What a repository needs and slots cannot give yet. */
#include "slotctl/lacks.h"

#include "slotctl/out.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"

size_t lacks_count(json_object *pool)
{
	json_object *list = json_get_array(pool, "unsupported");

	return list ? json_object_array_length(list) : 0;
}

char *lacks_sentence(json_object *pool, size_t i)
{
	json_object *u = json_object_array_get_idx(json_get_array(pool, "unsupported"), i);

	return text_printf("%s (%s): %s", out_field(u, "what"), out_field(u, "where"),
			   out_field(u, "detail"));
}

void lacks_tell(const struct cli *cli, json_object *pool)
{
	for (size_t i = 0; i < lacks_count(pool); i++) {
		_cleanup_(freep) char *sentence = lacks_sentence(pool, i);

		if (sentence)
			cli_note(cli, "pool %s lacks %s", out_field(pool, "name"), sentence);
	}
}
