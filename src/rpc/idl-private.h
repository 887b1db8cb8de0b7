/**
 * DOC: idl-private - a parsed interface, between idl.c (makes it) and idl-check.c (reads it)
 */
#ifndef RPC_IDL_PRIVATE_H
#define RPC_IDL_PRIVATE_H

#include "rpc/idl.h"

enum idl_kind {
	IDL_KIND_BOOL,
	IDL_KIND_INT,
	IDL_KIND_FLOAT,
	IDL_KIND_STRING,
	IDL_KIND_OBJECT,
	IDL_KIND_NAMED, /* @name, resolved to @target */
	IDL_KIND_MAYBE, /* ?T: @inner */
	IDL_KIND_ARRAY, /* []T: @inner */
	IDL_KIND_MAP,	/* [string]T: @inner */
	IDL_KIND_STRUCT,
	IDL_KIND_ENUM,
};

struct idl_field {
	char *name;
	struct idl_type *type; /* owned; NULL in an enum */
};

struct idl_type {
	enum idl_kind kind;
	char *name;		       /* of a NAMED */
	unsigned line, column;	       /* where a NAMED is used */
	const struct idl_type *target; /* of a NAMED, borrowed from its member */
	struct idl_type *inner;	       /* owned */
	struct idl_field *fields;      /* of a STRUCT or ENUM; owned */
	size_t n_fields;
};

enum idl_member_kind { IDL_MEMBER_TYPE, IDL_MEMBER_METHOD, IDL_MEMBER_ERROR };

struct idl_member {
	enum idl_member_kind kind;
	char *name;
	struct idl_type *type;	/* the type; the parameters of a method or an error */
	struct idl_type *reply; /* of a method */
};

struct idl {
	char *text;
	char *name;
	struct idl_member *members; /* in the order of the file */
	size_t n_members;
};

/* NULL when there is none of this kind and name */
const struct idl_member *idl_find(const struct idl *idl, enum idl_member_kind kind,
				  const char *name);

#endif
