/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct json: a push parser. Bytes go in as the network delivers them, events come out; nothing of
 * a document is kept but the string or number that is being read. Documents may follow each other
 * without an end, as those of a watch do. The grammar is RFC 8259; like Go's encoding/json, lone
 * surrogates and invalid UTF-8 in strings become U+FFFD. So does U+0000: no C string has any.
 */
#pragma once

#include "agent/base/buf.h"

#define JSON_MAX_DEPTH 200

enum json_type {
	JSON_OBJECT,
	JSON_OBJECT_END,
	JSON_ARRAY,
	JSON_ARRAY_END,
	JSON_KEY,
	JSON_STRING,
	JSON_NUMBER, /* as it was written */
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL,
	JSON_DONE, /* a document is complete */
};

struct json_event {
	enum json_type type;
	const char *s; /* of a key, string or number: NUL-terminated, valid during the call */
	size_t len;
	bool cut; /* it was longer than max_string: s is its beginning */
};

/* < 0 ends the parsing with that. */
typedef int (*json_fn)(const struct json_event *e, void *data);

enum json_state {
	JSON_VALUE,	  /* a value has to come */
	JSON_FIRST_VALUE, /* a value or "]" */
	JSON_FIRST_KEY,	  /* a key or "}" */
	JSON_NEXT_KEY,	  /* a key */
	JSON_COLON,	  /* ":" */
	JSON_AFTER,	  /* "," or the end of what is open */
	JSON_IN_STRING,	  /* and the like: in the middle of a token */
	JSON_IN_ESCAPE,
	JSON_IN_UNICODE,
	JSON_IN_NUMBER,
	JSON_IN_WORD,
};

struct json {
	json_fn fn;
	void *data;
	size_t max_string;
	enum json_state state;
	int error; /* sticky */
	unsigned int depth, skip_depth;
	bool skipping;				   /* the value at skip_depth is not reported */
	bool is_key, is_cut;			   /* of the string that is being read */
	uint64_t open[(JSON_MAX_DEPTH + 63) / 64]; /* bit set: an object */
	struct buf token;
	uint32_t unicode, high; /* of \uXXXX; high: a surrogate that waits for the other half */
	unsigned int digits;
	const char *word; /* what is left of true, false, null */
	enum json_type word_type;
};

void json_init(struct json *j, size_t max_string, json_fn fn, void *data);
void json_done(struct json *j);
/*
 * 0, -EBADMSG (malformed), -E2BIG (JSON_MAX_DEPTH), -ENOMEM, or what fn returned. After an error
 * all further bytes are refused with the same.
 */
int json_feed(struct json *j, const void *p, size_t n);
/* Nothing comes any more: -EBADMSG in the middle of a document. A number at the end is reported. */
int json_end(struct json *j);
/*
 * From within fn: what has just begun (after JSON_KEY the value of this key, after JSON_OBJECT or
 * JSON_ARRAY their contents and end) is not reported and not kept.
 */
void json_skip(struct json *j);
