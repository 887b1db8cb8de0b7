/* org.varlink.service: what a service says about itself. */
#include "rpc/service-private.h"

#include <string.h>

#include "util/json.h"

static int get_info(struct rpc_call *call, json_object *params, void *userdata, struct fault *f)
{
	struct rpc_service *s = call->service;
	json_object *reply = json_object_new_object();
	json_object *names = json_object_new_array();
	struct rpc_interface *i;

	json_set_string(reply, "vendor", s->vendor);
	json_set_string(reply, "product", s->product);
	json_set_string(reply, "version", s->version);
	json_set_string(reply, "url", s->url);
	json_set(reply, "interfaces", names);
	list_for_each (i, &s->interfaces, link)
		json_object_array_add(names, json_object_new_string(idl_name(i->idl)));
	rpc_reply(call, reply);
	return 0;
}

static int get_interface_description(struct rpc_call *call, json_object *params, void *userdata,
				     struct fault *f)
{
	const char *name = json_get_string(params, "interface");
	struct rpc_interface *i = service_find_interface(call->service, name, strlen(name));
	json_object *reply = json_object_new_object();

	if (!i) {
		json_set_string(reply, "interface", name);
		rpc_error(call, ERROR_INTERFACE_NOT_FOUND, reply, "no interface '%s'", name);
		return 0;
	}
	json_set_string(reply, "description", idl_text(i->idl));
	rpc_reply(call, reply);
	return 0;
}

const struct rpc_method service_methods[] = {
	{ "GetInfo", get_info },
	{ "GetInterfaceDescription", get_interface_description },
	{ 0 },
};
