// SPDX-License-Identifier: Apache-2.0
#ifndef HYPERWAY_API_KEY_JSON_READER_H
#define HYPERWAY_API_KEY_JSON_READER_H

#include <stddef.h>
#include <stdint.h>

/// A pull reader for the small, flat configurations of this plugin: objects, arrays, strings
/// without escapes other than \" \\ and \/, true and false. Strict; the first mistake sticks in
/// `error`.
typedef struct json_reader {
  const char *at;    /* next byte */
  const char *end;   /* behind the last byte */
  const char *error; /* one sentence, static; null while all is well */
} json_reader;

/// Takes `byte` after white space; 0 and no error if something else is there.
int json_take(json_reader *reader, char byte);

/// Takes `byte`, or sets the error to `what`; 1 if taken.
int json_expect(json_reader *reader, char byte, const char *what);

/// Reads a string into `out` (NUL-terminated, `capacity` bytes with it); its length, or -1.
int json_string(json_reader *reader, char *out, size_t capacity);

/// Reads true or false; 1, 0, or -1 with an error.
int json_boolean(json_reader *reader);

#endif
